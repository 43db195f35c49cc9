"""What the user is told before anything is fitted, and what is refused there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.fit.task import Deadline
from postgres_ml.preparation import prepare
from postgres_ml.process.report import Report
from postgres_ml.snapshot.rows import TrainingRows
from support.training import column, make_job, make_spec

N = 400
RANDOM = np.random.default_rng(0)
TARGET = np.array(["no", "yes"], dtype=object)[RANDOM.integers(0, 2, N)]
KEYS = np.sort(RANDOM.integers(0, 2**64, N, dtype=np.uint64))
COLUMNS: dict[str, tuple[str, Any]] = {
    "spend": ("double precision", RANDOM.normal(size=N)),
    "cancelled": ("boolean", (TARGET == "yes").astype(float)),
    "amount": ("text", np.char.mod("%d", RANDOM.integers(0, 30, N)).astype(object)),
    "agreed": ("text", np.array(["t", "f"], dtype=object)[RANDOM.integers(0, 2, N)]),
    "customer_id": ("integer", RANDOM.permutation(N).astype(float)),
    "letter": ("text", np.array([f"dear customer {i}" for i in range(N)], dtype=object)),
}


def told(directory: Path, names: list[str], target: Any = TARGET, **changes: Any) -> list[tuple[str, str]]:
    """Return (level, text) of all messages about these columns."""
    features = tuple(column(name, COLUMNS[name][0]) for name in names)
    frame = pd.DataFrame({name: pd.Series(COLUMNS[name][1], dtype=COLUMNS[name][1].dtype) for name in names})
    label = column("target", "text" if target.dtype == object else "integer")
    job = make_job(
        directory, features, label, spec=make_spec(**{"settings": Settings(min_rows=10), **changes})
    )
    lines: list[tuple[str, str]] = []
    report = Report(lambda level, text, fields=None: lines.append((level, text)))
    prepare(job, TrainingRows(frame, target, KEYS, ""), Deadline(60), report)
    return lines


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("cancelled", "looks like target leakage"),
        ("amount", "cast it in the query"),
        ("agreed", "true and false"),
        ("customer_id", "leave it out of the query"),
    ],
)
def test_a_column_to_distrust_is_a_warning_with_its_name(tmp_path: Path, name: str, cause: str) -> None:
    warnings = [text for level, text in told(tmp_path, ["spend", name]) if level == "warning"]
    assert len(warnings) == 1 and warnings[0].startswith(f'column "{name}" ') and cause in warnings[0]


def test_a_column_without_effect_is_named_and_why_the_problem_is_what_it_is(tmp_path: Path) -> None:
    text = " ".join(text for _, text in told(tmp_path, ["spend", "letter"]))
    assert '"letter" (400 different texts in 400 rows)' in text
    assert 'problem_type is binary_classification: target "target" is text with 2 values' in text


@pytest.mark.parametrize(
    ("target", "changes", "cause"),
    [
        (TARGET, {"settings": Settings()}, r"returns 400 rows with a target, fewer than 500.*min_rows: 400"),
        (TARGET, {"objective": "mse"}, "objective 'mse' doesn't fit problem_type binary_classification"),
        (TARGET, {"problem_type": "regression"}, "not a number, but problem_type is regression"),
        (np.arange(N) % 4, {"hyperparameters": {"num_class": 3}}, "num_class is 3, but .* has 4 classes"),
        (np.where(np.arange(N) == 7, "once", "no").astype(object), {}, r"too few of 'once' \(1 row:"),
        (np.full(N, "yes", dtype=object), {}, "only one class"),
    ],
)
def test_what_cannot_be_learned_is_refused(tmp_path: Path, target: Any, changes: Any, cause: str) -> None:
    with pytest.raises((TrainingDataError, SpecError), match=cause):
        told(tmp_path, ["spend"], target, **changes)
