"""Which rows are held out: a fraction, those that a column marks, or those after a point in time.

Input: the rows and the settings. Output: a mask. Whether the sides can be learned and judged from is checked
by `rare_classes.settle_split`.
"""

from __future__ import annotations

import numpy as np

from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.snapshot.rows import Array, TrainingRows, holdout_mask


def holdout_of(rows: TrainingRows, settings: Settings, messages: list[str]) -> Array:
    """Return the mask of the rows to hold out; append what looks wrong with it to `messages`.

    Raises
    ------
    TrainingDataError
        A marking column that is neither 0 nor 1, or all rows on one side.
    """
    if settings.split_column is None:
        return holdout_mask(rows.keys, settings.holdout)
    if rows.split is None:  # no rows: nothing was read of the column
        return np.zeros(len(rows), bool)
    _check_marks(rows.split, settings)
    mask: Array = rows.split == 1
    n_held, n_train = int(mask.sum()), int((~mask).sum())
    rule = _rule(settings)
    if not n_held:
        raise TrainingDataError(f"no row is held out, because none has {rule}")
    if not n_train:
        cure = "choose a later time in `after`" if settings.holdout_time else "mark some of them with 0"
        raise TrainingDataError(f"no row is left to train on, because all {n_held:,} have {rule}; {cure}")
    messages.append(f"rows with {rule} are held out: {n_held:,} of {len(rows):,}")
    if n_held > n_train:
        turned = "after" if settings.holdout_time else "column"
        messages.append(
            f'column "{settings.split_column}" holds out more rows ({n_held:,}) than it leaves to train on '
            f"({n_train:,}): is '{turned}' in settings: holdout the wrong way round?"
        )
    return mask


def _rule(settings: Settings) -> str:
    if settings.holdout_time is not None:
        return f'"{settings.holdout_time}" >= {settings.holdout_after}'
    return f'a true "{settings.holdout_column}"'


def _check_marks(split: Array, settings: Settings) -> None:
    others = split[(split != 0) & (split != 1)]
    if len(others):
        raise TrainingDataError(
            f'settings: holdout: column "{settings.holdout_column}" is neither 0 nor 1 in {len(others):,} of '
            f"{len(split):,} rows (the first: {others[0]})"
        )
