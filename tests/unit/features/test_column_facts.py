"""Facts of parts are those of the whole, and encoders learn from counts what they learn from rows."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from postgres_ml.features import column_facts
from postgres_ml.features.column_facts import add_counts, count_texts, facts_of, merged, rows_of_counts
from postgres_ml.features.preprocess import MIN_CATEGORY_ROWS, _codes, _one_hot
from support.training import column

TEXT, NUMBER = column("t", "text"), column("n")


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 1.0, 1.0, 1.0],
        [1.0, np.nan, 1.0, 1.0],
        [np.nan] * 4,
        [np.nan, np.nan, 2.0, 2.0],
        [2.0, 2.0, 3.0, 3.0],
        [np.inf, 1e39, 1.0, -np.inf],
    ],
)
def test_facts_of_parts_are_those_of_all(values: list[float]) -> None:
    whole = pd.Series(values)
    parts = [{"n": facts_of(NUMBER, whole[:2])}, {"n": facts_of(NUMBER, whole[2:])}]
    assert merged(parts, {})["n"] == facts_of(NUMBER, whole)


def test_texts_are_counted_over_parts() -> None:
    whole = pd.Series(["a", None, "b", "a", "日"], dtype=object)
    total: Counter[str | None] = Counter()
    for part in (whole[:2], whole[2:]):
        add_counts(total, count_texts(part))
    assert total == {"a": 2, "b": 1, "日": 1, None: 1}
    facts = merged(
        [{"t": facts_of(TEXT, part, n_distinct=0)} for part in (whole[:2], whole[2:])], {"t": total}
    )
    assert facts["t"] == facts_of(TEXT, whole)


@pytest.mark.parametrize("make", [_codes, _one_hot])
@pytest.mark.parametrize("seed", range(6))
def test_encoders_learn_the_same_from_counts(make, seed: int) -> None:
    """More than 64 categories, ties at each threshold, with NULL the most frequent, seldom or never."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame()
    for name, n_words in (("a", 90), ("b", 3), ("c", 400)):
        words = np.array([f"w{n}" for n in range(n_words)] + [None], dtype=object)
        share = random.exponential(size=n_words + 1) ** 2
        share[-1] = (0, share.max() * 2, 1e-3)[seed % 3]
        frame[name] = pd.Series(random.choice(words, 3_000, p=share / share.sum()), dtype=object)
    columns = rows_of_counts([count_texts(frame[name]) for name in frame], MIN_CATEGORY_ROWS)
    few = pd.DataFrame({name: pd.Series(c, dtype=object) for name, c in zip(frame, columns, strict=True)})
    of_rows, of_counts = make().fit(frame), make().fit(few)
    probe = pd.concat([frame, pd.DataFrame({name: ["new", None] for name in frame}, dtype=object)])
    np.testing.assert_array_equal(of_counts.transform(probe), of_rows.transform(probe))
    assert len(few) < len(frame)


def test_of_too_many_categories_the_most_frequent_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_facts, "MOST_CATEGORIES", 10)
    total: Counter[str | None] = Counter({"often": 50})
    for n in range(40):
        add_counts(total, {f"once {n}": 1, "often": 1})
    assert total["often"] == 90 and len(total) <= 10
