"""TextVectorizer against scikit-learn's TfidfVectorizer, and the terms that it chooses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.components.text import TextCounts, TextVectorizer
from postgres_ml.program.words import terms_of
from scipy import sparse
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import chi2, f_regression

WORDS = ["good", "BAD", "naïve", "ÄRGER", "日本語", "🦉", "e\u0301", "the", "of", "don't", "10%", "x"]


def texts(n: int = 300, seed: int = 0) -> pd.DataFrame:
    source = np.random.default_rng(seed)
    found = [", ".join(source.choice(WORDS, size=source.integers(0, 9))) for _ in range(n)]
    return pd.DataFrame({"t": pd.Series(found, dtype=object)})


def labels(frame: pd.DataFrame) -> np.ndarray:
    noise = np.random.default_rng(1).random(len(frame)) < 0.1
    return np.where(frame["t"].str.contains("good") ^ noise, "yes", "no")


@pytest.mark.parametrize("norm", ["l2", None])
@pytest.mark.parametrize("ngram_range", [(1, 1), (1, 2), (2, 2)])
def test_numbers_are_those_of_scikit_learn(norm: Any, ngram_range: tuple[int, int]) -> None:
    frame = texts()
    ours = TextVectorizer(30, ngram_range, 2, norm).fit(frame, labels(frame))

    def analyzer(text: str) -> list[str]:
        return list(terms_of(text, words=ngram_range[0] == 1, pairs=ngram_range[1] == 2))

    theirs = TfidfVectorizer(analyzer=analyzer, vocabulary=ours.terms_[0], norm=norm).fit(frame["t"])
    new = texts(200, seed=5)
    expected = theirs.transform(new["t"])
    found = ours.transform(new)
    assert sparse.issparse(found) and found.shape == expected.shape
    np.testing.assert_array_equal(found.toarray(), expected.toarray())
    dense = clone(ours).set_params(sparse_output=False).fit(frame, labels(frame)).transform(new)
    np.testing.assert_array_equal(dense, expected.toarray())


def presence(frame: pd.DataFrame, vectorizer: TextVectorizer) -> Any:
    analyzer = CountVectorizer(analyzer=lambda text: list(terms_of(text)), vocabulary=vectorizer.terms_[0])
    return (analyzer.fit_transform(frame["t"]) > 0).astype(float)


def test_a_quantity_chooses_by_the_f_test() -> None:
    frame = texts()
    target = frame["t"].str.count("BAD") + np.random.default_rng(2).normal(size=len(frame))
    everything = TextVectorizer(10_000, min_df=2).fit(frame, target)
    statistic, _ = f_regression(presence(frame, everything), target)
    by_sklearn = np.array(everything.terms_[0])[np.argsort(-statistic)[:12]]
    chosen = TextVectorizer(12, min_df=2).fit(frame, target)
    assert set(chosen.terms_[0]) == set(by_sklearn)
    assert "bad" in chosen.terms_[0] and chosen.terms_[0] == sorted(chosen.terms_[0])


def test_classes_choose_by_chi_squared() -> None:
    frame = texts()
    target = np.array(["a", "b", "c"])[np.random.default_rng(3).integers(0, 3, len(frame))]
    everything = TextVectorizer(10_000, min_df=2).fit(frame, target)
    there = presence(frame, everything).toarray()
    statistic = np.array([chi2(np.column_stack([x, 1 - x]), target)[0].sum() for x in there.T])
    np.testing.assert_allclose(everything.scores_[0] * len(frame), statistic)


def test_without_a_target_the_most_frequent_terms_are_kept() -> None:
    frame = pd.DataFrame({"t": ["a b", "a c", "a b", "d"]})
    assert TextVectorizer(2, (1, 1), 1).fit(frame).terms_ == [["a", "b"]]


def test_missing_texts_have_no_words_and_unknown_words_no_column() -> None:
    frame = pd.DataFrame({"t": pd.Series(["a b", None, np.nan, "c c"] * 5, dtype=object)})
    fitted = TextVectorizer(min_df=5, sparse_output=False).fit(frame, [0, 1, 1, 0] * 5)
    found = fitted.transform(pd.DataFrame({"t": pd.Series([None, "z", "A"], dtype=object)}))
    assert fitted.terms_ == [["a", "a b", "b", "c", "c c"]]
    np.testing.assert_array_equal(found, [[0] * 5, [0] * 5, [1, 0, 0, 0, 0]])


def test_columns_stand_side_by_side_and_may_have_a_fixed_width() -> None:
    frame = pd.DataFrame({"t": ["a", "b"] * 5, "u": ["b", "c"] * 5})
    fitted = TextVectorizer(3, fixed_width=True, sparse_output=False).fit(frame, [0, 1] * 5)
    assert fitted.terms_ == [["a", "b"], ["b", "c"]]
    names = ["t: a", "t: b", "t: nothing 0", "u: b", "u: c", "u: nothing 0"]
    assert list(fitted.get_feature_names_out()) == names
    np.testing.assert_array_equal(fitted.transform(frame[:1]), [[1, 0, 0, 1, 0, 0]])


def test_counts_of_all_rows_serve_for_a_part_of_them() -> None:
    frame, rows = texts(), np.arange(0, 300, 2)
    target = labels(frame)
    counts = TextCounts.of(frame["t"], 2, True, True)
    direct = TextVectorizer(20, min_df=3).fit(frame.iloc[rows], target[rows])
    prepared = TextVectorizer(20, min_df=3).fit_counts([counts.take(rows)], target[rows])
    assert prepared.terms_ == direct.terms_
    np.testing.assert_array_equal(prepared.weights_[0], direct.weights_[0])
    others = np.arange(1, 300, 2)
    expected = direct.transform(frame.iloc[others]).toarray()
    np.testing.assert_array_equal(prepared.transform_counts([counts.take(others)]).toarray(), expected)


@pytest.mark.parametrize(
    "wrong",
    [{"ngram_range": (1, 3)}, {"max_features": 0}, {"min_df": 0}, {"norm": "l1"}, {"target": "text"}],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TextVectorizer(**wrong).fit(texts(10))
