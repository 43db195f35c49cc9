"""Which training rows are learned from and which are predicted.

Below 20,000 rows five folds: each row is predicted once by an estimator that never saw it, and all trials by
the same folds, so that their predictions can be compared row by row and averaged. Above, one fold of five:
there a hold-out costs little (measured: 1 % on 15,000 rows), five fits cost five times as much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from postgres_ml.snapshot.rows import Array, TrainingRows, fold_numbers, spread_part

N_FOLDS = 5
# The only row of a class: held out, it would be of a class that no estimator of the fold knows.
ALWAYS_LEARNED = -1
MAX_CROSS_VALIDATED = 20_000
MAX_VALID = 25_000  # of one hold-out; more rows make no difference of two candidates clearer
# A first look at a candidate learns from this many rows, where there are at least three times as many.
LOOK_ROWS = 12_000


@dataclass(frozen=True)
class Split:
    """Row numbers to learn from, and row numbers to predict."""

    name: str
    train: Array
    valid: Array


@dataclass(frozen=True)
class Folds:
    """The splits that every trial goes through.

    Parameters
    ----------
    look : what tells quickly whether a candidate is worth the rest: the first of the folds, or a part of the
        rows
    splits : all folds
    """

    look: Split
    splits: tuple[Split, ...]

    @classmethod
    def of(cls, rows: TrainingRows, codes: Array, *, stratified: bool) -> Folds:
        """Return the folds of the rows."""
        strata = codes if stratified else np.zeros(len(rows), np.int64)
        folds = fold_numbers(rows.keys, strata, N_FOLDS)
        folds[np.bincount(strata)[strata] == 1] = ALWAYS_LEARNED
        if len(rows) <= MAX_CROSS_VALIDATED:
            splits = tuple(
                Split(f"fold {fold}", np.flatnonzero(folds != fold), np.flatnonzero(folds == fold))
                for fold in range(N_FOLDS)
                if np.any(folds == fold) and np.any(folds != fold)
            )
            return cls(splits[0], splits)
        held = np.flatnonzero(folds == 0)
        valid = held[np.linspace(0, len(held) - 1, min(len(held), MAX_VALID)).astype(np.int64)]
        whole = Split("fold 0", np.setdiff1d(np.arange(len(rows)), valid), valid)
        if len(whole.train) < 3 * LOOK_ROWS:
            return cls(whole, (whole,))
        part = whole.train[spread_part(strata[whole.train], LOOK_ROWS / len(whole.train))]
        return cls(Split("look", part, valid), (whole,))

    @property
    def looks_at_fold(self) -> bool:
        """Whether the look is one of the splits, so that its work isn't lost."""
        return self.look is self.splits[0]

    def fewer(self, n_splits: int, row_share: float, strata: Array) -> Folds:
        """Return at most this many of the splits, and this share of the rows that each learns from.

        Parameters
        ----------
        strata : class codes of all rows; all 0 for a regression
        """
        splits = self.splits[:n_splits]
        if row_share < 1:
            parts = [split.train[spread_part(strata[split.train], row_share)] for split in splits]
            splits = tuple(
                Split(split.name, part, split.valid) for split, part in zip(splits, parts, strict=True)
            )
        if self.looks_at_fold or len(splits[0].train) < 3 * LOOK_ROWS:
            return Folds(splits[0], splits)
        return Folds(self.look, splits)

    def renumbered(self, used: Array) -> Folds:
        """Return the folds of a table that has only these rows.

        Parameters
        ----------
        used : increasing row numbers, all rows of the folds among them
        """

        def moved(split: Split) -> Split:
            return Split(split.name, np.searchsorted(used, split.train), np.searchsorted(used, split.valid))

        splits = tuple(moved(split) for split in self.splits)
        return Folds(splits[0] if self.looks_at_fold else moved(self.look), splits)

    @property
    def predicted(self) -> Array:
        """Row numbers that some fold predicts, increasing."""
        return np.sort(np.concatenate([split.valid for split in self.splits]))
