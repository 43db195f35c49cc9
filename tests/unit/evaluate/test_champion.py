"""The serving version on the new hold-out: only where it can't have learned from those rows."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.config import Settings
from postgres_ml.evaluate.champion import Comparison, score_champion
from postgres_ml.features.problem import resolve
from postgres_ml.fit.task import Task
from postgres_ml.program.encoders import Number
from postgres_ml.program.program import Input, Program, Value
from postgres_ml.program.scorers import Linear
from postgres_ml.program.serialize import program_to_json
from postgres_ml.snapshot.rows import TrainingRows
from support.training import column, make_job, make_spec

NUMBERS = ("double precision", "number")


def compared(tmp_path: Path, names: str, settings: Settings | None = None) -> Comparison:
    """Return what comes of a champion that knows a and b, and predicts their sum, for a query of these columns."""
    inputs = tuple(Input(name, *NUMBERS) for name in "ab")
    steps = (Number(0), Number(1), Linear((0, 1), ((1.0, 1.0),), (0.0,)))
    settings = settings or Settings()
    champion = {
        "version": 3,
        "program": program_to_json(Program(inputs, steps, (), Value(2), "double precision")),
        "settings": asdict(settings),
        "labels": [],
    }
    file = tmp_path / "champion.json"
    file.write_text(json.dumps(champion))
    target = np.array([3.0, 7.0, 11.0])
    spec = make_spec(problem_type="regression", settings=settings)
    problem = resolve(spec, column("y"), target, [])
    columns = tuple(column(name) for name in names)
    job = make_job(tmp_path, columns, column("y"), spec=spec, champion_file=str(file))
    frame = pd.DataFrame({name: [1.0, 3.0, 5.0] for name in names} | {"b": [2.0, 4.0, 6.0]})
    rows = TrainingRows(frame, target, np.arange(3, dtype=np.uint64), "")
    return score_champion(job, Task(spec, problem, None, None, 1), [rows])


def test_the_same_columns_are_compared(tmp_path: Path) -> None:
    assert compared(tmp_path, "ab") == Comparison(score=0.0)


@pytest.mark.parametrize("names", ["abc", "ba", "cab"])
def test_other_columns_draw_another_hold_out(tmp_path: Path, names: str) -> None:
    found = compared(tmp_path, names)
    assert found.score is None
    assert found.note.startswith(
        "not compared with v3: the query has other columns, which choose the hold-out"
    )


def test_a_hold_out_that_a_column_marks_is_the_same_for_all_columns(tmp_path: Path) -> None:
    assert compared(tmp_path, "abc", Settings(holdout_column="is_test")) == Comparison(score=0.0)


def test_a_lost_feature_is_named(tmp_path: Path) -> None:
    assert "no longer has its features a" in compared(tmp_path, "bc").note
