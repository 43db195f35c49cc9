"""What the user should know of the columns before trusting a score: target leakage, numbers kept as text.

Input: features and labelled rows. Output: sentences that begin with 'column', for the log and the card.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from postgres_ml.contract.sql_names import readable_identifier
from postgres_ml.features.problem import Problem
from postgres_ml.snapshot.rows import Array

LEAK_ROWS = 2_000
MIN_LEAK_ROWS = 100
# A feature that alone leaves no more than this share of what a guess without it gets wrong (wrong labels;
# squared error) is nearly the target. The best of 277 honest features of 19 data sets leaves 15 %.
LEAK_SHARE = 0.02
MIN_TEXTS = 20  # fewer values don't tell whether a column is text that holds numbers
BOOLEAN_TEXTS = ({"true", "false"}, {"t", "f"}, {"yes", "no"}, {"y", "n"}, {"on", "off"})


def leaks(problem: Problem, frame: pd.DataFrame, target: Array) -> list[str]:
    """Return a warning for each feature from which alone the target can be told.

    A tree learns from half of at most 2,000 rows and predicts the other half, for each column alone.
    """
    if not problem.has_target or len(target) < MIN_LEAK_ROWS:
        return []
    rows = np.linspace(0, len(target) - 1, min(len(target), LEAK_ROWS)).astype(np.int64)
    codes = problem.encode(target)[rows]
    learn = np.arange(len(rows)) % 2 == 0
    found = []
    for name in frame:
        left = _error_left(problem, _numbers(frame[name].iloc[rows], codes, learn), codes, learn)
        if left <= LEAK_SHARE:
            found.append(
                f'column "{name}" looks like target leakage: used alone, it leaves {left:.2%} of the errors '
                "of a guess. If it is known only after the target, or computed from it, the scores mean "
                "nothing: leave it out of the query"
            )
    return found


def _error_left(problem: Problem, values: Array, codes: Array, learn: Array) -> float:
    column = values[:, None]
    if problem.is_regression:
        tree = DecisionTreeRegressor(random_state=0).fit(column[learn], codes[learn])
        truth = codes[~learn]
        guess = float(np.mean(np.square(truth - codes[learn].mean())))
        if guess == 0:
            return 1.0
        by_tree = float(np.mean(np.square(truth - tree.predict(column[~learn])))) / guess
        return min(
            by_tree, _line_left(values[~learn], truth)
        )  # a tree is poor where few values are far apart
    tree = DecisionTreeClassifier(random_state=0, max_leaf_nodes=256).fit(column[learn], codes[learn])
    most = np.bincount(codes[learn]).argmax()
    guess = float(np.mean(codes[~learn] != most))
    return float(np.mean(tree.predict(column[~learn]) != codes[~learn])) / guess if guess else 1.0


def _line_left(values: Array, truth: Array) -> float:
    """Return the share of the target's variance that a straight line leaves."""
    known = ~np.isnan(values)
    if known.sum() < MIN_LEAK_ROWS / 2 or np.ptp(values[known]) == 0 or np.ptp(truth[known]) == 0:
        return 1.0
    return 1 - float(np.corrcoef(values[known], truth[known])[0, 1]) ** 2


def _numbers(values: pd.Series, codes: Array, learn: Array) -> Array:
    """Return numbers as they are, and texts as the mean of the rows to learn from that have the same."""
    if values.dtype.kind == "M":
        return np.asarray(values.to_numpy().astype(np.int64), dtype=np.float64)
    if values.dtype != object:
        return np.asarray(values, dtype=np.float64)
    known = values[learn].fillna("")
    means = pd.Series(codes[learn], dtype=float).groupby(known.to_numpy()).mean()
    return np.asarray(values.fillna("").map(means), dtype=np.float64)


def misread(frame: pd.DataFrame) -> list[str]:
    """Return a hint for each text column that holds nothing but numbers, or nothing but true and false."""
    found = []
    for name in frame:
        values = frame[name]
        if values.dtype != object:
            continue
        counts = values.value_counts()  # few rows of many have a value of their own
        texts = counts.index.to_series().str.strip()
        is_told = (texts != "").to_numpy()
        if int(counts.to_numpy()[is_told].sum()) < MIN_TEXTS:
            continue
        distinct = texts[is_told].unique()
        if len(distinct) <= 2 and {text.lower() for text in distinct} in BOOLEAN_TEXTS:
            found.append(f'column "{name}" holds true and false as text; it is read as two categories')
        elif len(distinct) > 2 and bool(pd.notna(pd.to_numeric(distinct, errors="coerce")).all()):
            found.append(
                f'column "{name}" holds numbers as text and is read as categories; to keep their '
                f"order, cast it in the query ({readable_identifier(str(name))}::numeric)"
            )
    return found
