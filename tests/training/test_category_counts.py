"""Encoders fitted on few rows learn what the library learns of all rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_ml.features.column_facts import count_texts, fit_categories
from postgres_ml.features.feature_columns import FeatureColumns
from postgres_ml.features.preprocess import MIN_CATEGORY_ROWS, additive_columns, tree_columns

KINDS = {"x": "number", "t": "text", "u": "text"}
COLUMNS = FeatureColumns(("x",), ("t", "u"), kinds=KINDS)
texts = st.lists(st.sampled_from([None, "", " ", *map(str, range(90))]), min_size=1, max_size=400)


@settings(max_examples=150, deadline=None)
@given(values=texts, seed=st.integers(0, 2**31))
def test_codes_are_those_of_a_fit_on_all_rows(values: list[str | None], seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": rng.random(len(values)),
            "t": pd.Series(values, dtype=object),
            "u": pd.Series(rng.choice(np.array(["a", "b", "c", None], object), len(values)), dtype=object),
        }
    )
    for unfitted in (tree_columns(COLUMNS, codes=True), additive_columns(COLUMNS)):
        expected = unfitted.fit_transform(frame)
        counts = {name: count_texts(frame[name]) for name in COLUMNS.texts}
        few = fit_categories(unfitted, counts, frame, MIN_CATEGORY_ROWS)
        np.testing.assert_array_equal(few.transform(frame), expected)
