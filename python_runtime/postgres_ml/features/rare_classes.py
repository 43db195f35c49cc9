"""Classes of few rows on the two sides of the hold-out's split: what is moved, warned of or refused.

Input: the problem, class codes and the hold-out's mask. Output: the mask as it is used. A class that has no
row to train on is one that no estimator knows, so its rows go into the training; a class without a row in
the hold-out is only absent from the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.features.problem import Problem
from postgres_ml.snapshot.rows import Array

MIN_ROWS = 2  # of a class, on either side: with fewer of them a warning says that its predictions are a guess


@dataclass(frozen=True)
class SettledSplit:
    """The split as it is used.

    Parameters
    ----------
    holdout : mask of the rows to hold out
    unknown : mask of the rows of classes that the user's own split gives nothing to train on: neither learned
        nor scored
    """

    holdout: Array
    unknown: Array


def settle_split(
    problem: Problem,
    codes: Array,
    holdout: Array,
    column: Column | None,
    messages: list[str],
    *,
    is_marked: bool = False,
) -> SettledSplit:
    """Return the split with every class on the training's side; append a warning of rare ones to `messages`.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,), class codes; rows in the order of their keys
    column : the target; None of a clustering
    is_marked : whether the user's own column or point in time says which rows are held out: none is moved

    Raises
    ------
    TrainingDataError
        Fewer than two rows on a side; one class only; a single row to train on of every class; of two
        classes one that has not a row for each side.
    """
    unknown = np.zeros(len(holdout), bool)
    if column is None or problem.is_regression:
        _check_sides(holdout)
        return SettledSplit(holdout, unknown)
    n = len(problem.classes)
    if not is_marked:
        holdout = _moved(codes, holdout, n)
    train, held = np.bincount(codes[~holdout], minlength=n), np.bincount(codes[holdout], minlength=n)
    if n == 2 and min(train.min(), held.min()) < 1:
        rare = [i for i in range(n) if min(train[i], held[i]) < 1]
        raise TrainingDataError(
            f'each class of "{column.name}" needs a row to train on and one in the hold-out; there are too '
            f"few of {_named(problem, train, held, rare)}: add rows, or choose another hold-out"
        )
    if is_marked:
        unknown = (train == 0)[codes]
        holdout = holdout & ~unknown
        held = np.where(train == 0, 0, held)
        known = np.flatnonzero(train).tolist()
        if len(known) == 2 and holdout.any() and held[known].min() < 1:
            raise TrainingDataError(
                f'two classes of "{column.name}" have rows to train on, and each needs one in the hold-out: '
                f"{_named(problem, train, held, known)}; choose another hold-out"
            )
    if np.count_nonzero(train) < 2 or not holdout.any():
        side = "the hold-out has no rows" if np.count_nonzero(train) > 1 else "one class is left to train on"
        raise TrainingDataError(f'target "{column.name}": {side}; add rows, or choose another hold-out')
    _check_sides(holdout)
    if train.max() < MIN_ROWS:
        raise TrainingDataError(
            f'each class of "{column.name}" has a single row to train on, from which nothing can be learned: '
            "add rows, merge classes, or set problem_type to regression if the target measures something"
        )
    _warn(problem, column, train, held, messages, np.bincount(codes[unknown], minlength=n))
    return SettledSplit(holdout, unknown)


def _check_sides(holdout: Array) -> None:
    sides = int(np.count_nonzero(~holdout)), int(np.count_nonzero(holdout))
    if min(sides) < MIN_ROWS:
        raise TrainingDataError(
            f"{sides[0]} training rows and {sides[1]} hold-out rows: two are needed in each"
        )


def _moved(codes: Array, holdout: Array, n: int) -> Array:
    """Return the mask with the rows of classes that have too few on the training's side moved there.

    Of two classes, which are scored one against the other, a row of each is kept or moved to the hold-out.
    The first rows of a class have the least keys, which is what a hold-out by a fraction takes.
    """
    holdout = holdout.copy()
    for code in range(n):
        rows = np.flatnonzero(codes == code)
        n_held = int(np.count_nonzero(holdout[rows]))
        if n == 2 and len(rows) >= MIN_ROWS:
            holdout[rows[0]] |= n_held == 0
            holdout[rows[-1]] &= n_held < len(rows)
        elif len(rows) - n_held < MIN_ROWS:
            holdout[rows] = False
    return holdout


def _warn(
    problem: Problem, column: Column, train: Array, held: Array, messages: list[str], unknown: Array
) -> None:
    lost = np.flatnonzero(unknown)
    if len(lost):
        messages.append(
            f'classes of "{column.name}" without a row to train on are left out, and never predicted: '
            f"{_named(problem, train, unknown, lost.tolist())}; choose another hold-out to have them learned"
        )
    rare = [i for i in range(len(train)) if train[i] and min(train[i], held[i]) < MIN_ROWS]
    if rare:
        messages.append(
            f'classes of "{column.name}" with few rows: {_named(problem, train, held, rare)}; they are '
            "learned from as they are, so predictions of them are unreliable, and one without hold-out rows "
            "is not in the scores: add rows, merge small classes, or leave them out of the query"
        )


def _named(problem: Problem, train: Array, held: Array, codes: Sequence[int], limit: int = 5) -> str:
    items = []
    for i in codes:
        sides = f"{train[i]} to train on, {held[i]} in the hold-out"
        items.append(f"{problem.labels[i]!r} ({_rows(train[i] + held[i])}: {sides})")
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n} rows"
