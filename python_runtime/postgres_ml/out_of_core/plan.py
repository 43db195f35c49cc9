"""Whether a training's rows fit into memory, and what is read at once where they don't.

Input: the snapshot's size and the setting `max_memory`. Output: `MemoryPlan`, None where all rows fit.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.process.memory import in_units, limit_bytes, peak_bytes, used_bytes

DEFAULT_SHARE = 0.6  # of what the machine or the cgroup has
# What a training takes at its peak, as a multiple of the rows in Arrow: 3.0 with numbers, 2.6 with texts
# (`make bench-scale`).
IN_MEMORY = 3.5
# Of each row: key, label and weight, their copies while they are sorted; later xgboost's gradient,
# prediction, label and place in the tree.
ROW_BYTES = 48
# Of any training: trees, functions' text, SHAP values, plots.
OVERHEAD = 150_000_000
# Of what is left for features: a file's rows, as Arrow, as a frame and encoded, and the rows that are kept.
# xgboost takes a page for each file, and many pages cost it more than large ones.
FILE_SHARE, SAMPLE_SHARE = 1 / 4, 1 / 8
MOST_SAMPLED, LEAST_SAMPLED = 100_000, 2_000  # rows that explain, plot and check the model
MOST_FILE_ROWS, LEAST_FILE_ROWS = 500_000, 2_000


class Sizes(Protocol):
    """How many rows this process has in memory."""

    @property
    def n_sampled(self) -> int:
        """Rows to search, explain, draw and check with."""

    @property
    def n_fitting(self) -> int:
        """Rows that a training in memory could have."""


@dataclass(frozen=True)
class MemoryPlan:
    """What a training that reads its rows from disk keeps in memory.

    Parameters
    ----------
    cap : bytes that the process may take
    needed : bytes that it would take with all rows in memory
    n_rows : of the snapshot
    n_file_rows : rows that are read at once
    n_sampled : rows that are kept in memory to search, explain, draw and check
    n_fitting : rows that a training in memory could have
    """

    cap: int
    needed: int
    n_rows: int
    n_file_rows: int
    n_sampled: int
    n_fitting: int

    def text(self, n_bytes: int, n_files: int) -> str:
        """Return what is said before the training.

        Parameters
        ----------
        n_bytes, n_files : of the rows on disk
        """
        return (
            f"{self.n_rows:,} rows would take {in_units(self.needed)} of memory, and max_memory is "
            f"{in_units(self.cap)}: the training reads {in_units(n_bytes)} in {n_files} files, "
            f"{self.n_file_rows:,} rows at once"
        )


def peak_text() -> str:
    """Return what is said after the training: the most that this process has had in memory."""
    peak = peak_bytes(os.getpid())
    return "" if peak is None else f"the training took {in_units(peak)} of memory at most"


def cap_of(settings: Settings) -> int | None:
    """Return the bytes that a training may take; None where neither config nor system tell."""
    if settings.max_memory is not None:
        return settings.max_memory
    limit = limit_bytes()
    return None if limit is None else int(DEFAULT_SHARE * limit)


def plan_memory(
    settings: Settings, snapshot: Path, n_rows: int, n_columns: int, used: int | None = None
) -> MemoryPlan | None:
    """Return the plan of a training whose rows don't fit into memory; None where they do.

    Parameters
    ----------
    n_columns : of the snapshot, the label among them
    used : bytes that the process has before it reads a row; None measures it

    Raises
    ------
    TrainingDataError
        The cap is less than libraries and labels take.
    """
    cap = cap_of(settings)
    if cap is None or not n_rows:
        return None
    used = used_bytes() if used is None else used
    # COPY has 4 bytes beside each value and 2 beside each row, and the file 4 more
    arrow = max(snapshot.stat().st_size - n_rows * (4 * (n_columns + 1) + 6), n_rows)
    needed = used + int(IN_MEMORY * arrow)
    if needed <= cap:
        return None
    fixed = used + OVERHEAD + ROW_BYTES * n_rows
    left = cap - fixed
    row = IN_MEMORY * arrow / n_rows
    least = fixed + int(LEAST_FILE_ROWS * row / FILE_SHARE)
    if cap < least:
        raise TrainingDataError(
            f"max_memory is {in_units(cap)}, of which the libraries take {in_units(used)}, and {n_rows:,} "
            f"rows need {in_units(least)} even if they are read from disk: raise settings: max_memory, or "
            "lower max_cells"
        )
    return MemoryPlan(
        cap=cap,
        needed=needed,
        n_rows=n_rows,
        n_file_rows=min(int(FILE_SHARE * left / row), MOST_FILE_ROWS),
        n_sampled=max(min(int(SAMPLE_SHARE * left / row), MOST_SAMPLED), LEAST_SAMPLED),
        n_fitting=max(int((cap - used - OVERHEAD) / row), LEAST_SAMPLED),
    )
