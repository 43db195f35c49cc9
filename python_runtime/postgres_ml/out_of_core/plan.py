"""Whether a training's rows fit into memory, and what is read at once where they don't.

Input: the snapshot's size and the setting `max_memory`. Output: `MemoryPlan`, None where all rows fit.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from postgres_ml.components.text import TextVectorizer
from postgres_ml.components.transformers import PiecewiseLinear
from postgres_ml.contract.config import Settings, TrainingSpec
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.features import configured
from postgres_ml.features.feature_columns import MAX_CATEGORIES
from postgres_ml.features.preprocess import MAX_ONE_HOT
from postgres_ml.features.text_columns import FEW_TERMS, is_free_text
from postgres_ml.features.transformer_rules import TEXT_VECTORIZER
from postgres_ml.process.memory import in_units, limit_bytes, peak_bytes, used_bytes

if TYPE_CHECKING:
    import pandas as pd

ONE_HOT = {"linear_learner", "mlp"}  # model types whose texts become dense one-hot columns
UNSUPERVISED = {"kmeans", "isolation_forest"}  # theirs, too, by the encoder of configured preprocessors
DEFAULT_SHARE = 0.6  # of what the machine or the cgroup has
# What a training takes at its peak, as a multiple of the rows in Arrow: 3.0 with numbers, 2.6 with texts
# (`make bench-scale`).
IN_MEMORY = 3.5
# Of an encoded column while it is made, in double precision: itself and a copy. 1.5 to 1.8 times itself was
# measured, beside what IN_MEMORY stands for.
DENSE = 2 * 8
# A search holds a matrix of each encoding in single precision: codes, three with a column for each number,
# and one with a ladder for each. Each fit takes a copy of its rows; one of trees bins them, too.
SINGLE, N_NARROW, TREE_FIT = 4, 3, 1.5
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


def encoded_bytes(spec: TrainingSpec, frame: pd.DataFrame, n_threads: int) -> tuple[int, int]:
    """Return the bytes a row that encoded columns take at most beside the rows: in all fits, in the last.

    Parameters
    ----------
    frame : of all rows: each text column has as many categories as it has values, up to the encoders' limit
    n_threads : fits of AUTO that run side by side; the last one comes after the search
    """
    texts = [name for name in frame if frame[name].dtype == object]
    kinds, words, one_hot = set(spec.model_types), 0, 0
    if spec.preprocessors is not None or kinds & UNSUPERVISED:
        one_hot, words = _one_hot(frame, texts, configured.MAX_CATEGORIES), _configured_words(spec, texts)
    elif kinds & ONE_HOT:
        one_hot = _one_hot(frame, texts, MAX_CATEGORIES)
    if not spec.auto:
        return DENSE * (one_hot + words), DENSE * (one_hot + words)
    if spec.preprocessors is None:
        words = FEW_TERMS * sum(is_free_text(frame[name]) for name in texts)
    n_numbers, n_texts = frame.shape[1] - len(texts), len(texts)
    several, last = (auto_bytes(spec, n_numbers, n_texts, n, one_hot, words) for n in (n_threads, 0))
    return several, last


def auto_bytes(
    spec: TrainingSpec,
    n_numbers: int,
    n_texts: int,
    n_threads: int,
    one_hot: int | None = None,
    words: int = 0,
) -> int:
    """Return the same of a search: matrices of each encoding, and the parts of them that fits have at once.

    Parameters
    ----------
    one_hot : columns of all texts together; None is as many as there may be
    words : columns of words
    """
    coded = n_numbers + n_texts + words
    if not set(spec.model_types) & ONE_HOT:
        return int(SINGLE * coded * (1 + TREE_FIT * n_threads))
    if spec.preprocessors is None:
        most = max(MAX_ONE_HOT, 2 * n_texts) if n_texts else 0
        one_hot = most if one_hot is None else min(one_hot, most)
    narrow = n_numbers + (one_hot or 0) + words
    wide = narrow + (PiecewiseLinear().n_pieces - 1) * n_numbers
    return SINGLE * (coded + N_NARROW * narrow + wide + n_threads * wide) + DENSE * wide


def _one_hot(frame: pd.DataFrame, texts: Sequence[str], most: int) -> int:
    return sum(min(frame[name].nunique() + 1, most) for name in texts)


def _configured_words(spec: TrainingSpec, texts: Sequence[str]) -> int:
    """Return the columns of configured words; those of a linear model are sparse."""
    if spec.model_types == ("linear_learner",):
        return 0
    return sum(
        (item.max_features or TextVectorizer().max_features)
        * len(texts if "*" in item.columns else item.columns)
        for item in spec.preprocessors or ()
        if TEXT_VECTORIZER in item.transformers
    )


def plan_memory(
    settings: Settings,
    snapshot: Path,
    n_rows: int,
    n_columns: int,
    used: int | None = None,
    encoded: int = 0,
    encoded_once: int | None = None,
) -> MemoryPlan | None:
    """Return the plan of a training whose rows don't fit into memory; None where they do.

    Parameters
    ----------
    n_columns : of the snapshot, the label among them
    used : bytes that the process has before it reads a row; None measures it
    encoded, encoded_once : bytes a row that encodings take beside, as `encoded_bytes` has them; the last fit
        reads a file after the other, and None says that it takes as many

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
    row = IN_MEMORY * arrow / n_rows + encoded
    read = row if encoded_once is None else row - encoded + encoded_once
    needed = used + int(row * n_rows)
    if needed <= cap:
        return None
    fixed = used + OVERHEAD + ROW_BYTES * n_rows
    left = cap - fixed
    least = fixed + int(min(LEAST_FILE_ROWS / FILE_SHARE, n_rows) * read)
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
        n_file_rows=max(min(int(FILE_SHARE * left / read), MOST_FILE_ROWS), LEAST_FILE_ROWS),
        n_sampled=max(min(int(SAMPLE_SHARE * left / row), MOST_SAMPLED), LEAST_SAMPLED),
        n_fitting=max(int((cap - used - OVERHEAD) / row), LEAST_SAMPLED),
    )
