"""TextStatistics: its columns, their names, missing texts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from postgres_ml import TextStatistics
from postgres_ml.program.characters import CLASSES
from sklearn.feature_extraction.text import CountVectorizer

TEXTS = ["Is it?\nNo!", None, "", "100 % 'ÄB'", float("nan")]


def test_counts_are_those_of_scikit_learn() -> None:
    frame = pd.DataFrame({"a": TEXTS, "b": TEXTS[::-1]})
    found = TextStatistics().fit_transform(frame)
    assert found.shape == (5, 2 * len(CLASSES))
    np.testing.assert_array_equal(found[:, : len(CLASSES)], found[::-1, len(CLASSES) :])
    signs = [name for name in CLASSES if len(name) == 1]
    counter = CountVectorizer(analyzer="char", vocabulary=signs, lowercase=False)
    texts = [text if isinstance(text, str) else "" for text in TEXTS]
    expected = counter.transform(texts).toarray()
    np.testing.assert_array_equal(found[:, 4 : len(CLASSES)], expected)
    assert found[:, :4].tolist() == [[10, 2, 0, 0], [0] * 4, [0] * 4, [10, 2, 3, 1], [0] * 4]


def test_columns_are_named_by_text_and_class() -> None:
    frame = pd.DataFrame({"a": TEXTS})
    names = TextStatistics().fit(frame).get_feature_names_out()
    assert names[[0, 1, 5]].tolist() == ["a: characters", "a: capitals", "a: '\\n'"]
    assert TextStatistics().fit(frame.to_numpy()).get_feature_names_out()[0] == "x0: characters"


def test_another_number_of_columns_is_refused() -> None:
    fitted = TextStatistics().fit(pd.DataFrame({"a": TEXTS}))
    with pytest.raises(ValueError, match="feature names"):
        fitted.transform(pd.DataFrame({"b": TEXTS}))
