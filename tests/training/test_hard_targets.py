"""Targets and gaps that a library would meet with an error of its own, or learn nothing from without a word."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml import pipeline, preparation
from postgres_ml.contract.config import ColumnSet, Settings
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.fit.task import Deadline
from postgres_ml.fit.user_code import UserCode
from postgres_ml.process.report import Report
from postgres_ml.snapshot.rows import TrainingRows
from support.training import column, make_job, make_spec

N = 300
LABELS = """
import pandas as pd
from sklearn.linear_model import LogisticRegression
class DbtObj:
    def __init__(self, load): self.ref = load
dbtObj = DbtObj
def model(dbt, session):
    rows = dbt.ref("rows")
    {change}
    return LogisticRegression().fit(rows[["x", "z"]], labels)
"""
UNFITTED = """
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier
class dbtObj:
    def __init__(self, load): self.ref = load
def model(dbt, session):
    rows = dbt.ref("rows")
    return {made}
"""


class Said(list[str]):
    """The lines of a report."""

    def take(self, level: str, text: str, fields: Any = None) -> None:
        self.append(f"{level}: {text}")


def drawn(n: int = N) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).normal(size=(n, 2)), columns=["x", "z"])


def train(
    folder: Path, frame: pd.DataFrame, target: Any, sql_type: str, code: UserCode | None = None, **given: Any
) -> tuple[pipeline.Tested, Said]:
    """Search and evaluate as a training does, on rows that are in memory."""
    settings = Settings(**{"min_rows": 2, "max_trials": 4, "max_runtime": 30, **given.pop("settings", {})})
    features = tuple(column(name) for name in frame)
    spec = make_spec("target", settings=settings, **given)
    job = make_job(
        folder, features, column("target", sql_type), spec=spec, code=None if code is None else code.code
    )
    keys = np.sort(np.random.default_rng(1).integers(0, 2**64, len(frame), dtype=np.uint64))
    said = Said()
    report = Report(said.take)
    rows = TrainingRows(frame, target, keys, "d")
    prepared = preparation.prepare(job, rows, Deadline(30), report)
    with report.phase("search"):
        choice = pipeline.choose(prepared.task, prepared.training, code, report)
    with report.phase("evaluate"):
        return pipeline.evaluate(job, prepared, choice, code, report), said


@pytest.mark.parametrize(
    ("stars", "change", "message"),
    [
        ((1, 2, 3), "labels = rows['target'] - 1", r"predicts 0, 1, 2, .*\"target\" is 1, 2, 3"),
        ((1, 2), "labels = rows['target'] - 1", r"predicts 0, 1, .* is 1, 2"),
        (
            ("no", "yes"),
            "labels = (rows['target'] == 'yes').astype(int)",
            r"predicts 0, 1, .* is 'no', 'yes'",
        ),
        (
            ("a", "b", "c"),
            "rows = rows[rows['target'] != 'c']; labels = rows['target']",
            r"predicts 'a', 'b', .* is 'a', 'b', 'c': fit it on all of the labels",
        ),
    ],
)
def test_an_estimator_of_other_labels_is_refused(
    tmp_path: Path, stars: tuple[Any, ...], change: str, message: str
) -> None:
    frame = drawn()
    places = np.digitize(frame["x"], np.quantile(frame["x"], np.arange(1, len(stars)) / len(stars)))
    target = np.array(stars, dtype=object if isinstance(stars[0], str) else np.int64)[places]
    code = UserCode(LABELS.replace("{change}", change), "rows", {})
    sql_type = "text" if isinstance(stars[0], str) else "integer"
    with pytest.raises(SpecError, match=message):
        train(tmp_path, frame, target, sql_type, code, auto=False)
    good = UserCode(LABELS.replace("{change}", "labels = rows['target']"), "rows", {})
    tested, _ = train(tmp_path, frame, target, sql_type, good, auto=False)
    assert tested.evaluation.metrics["accuracy"] > 0.8


@pytest.mark.parametrize(
    "made",
    [
        "LogisticRegression()",
        "make_pipeline(StandardScaler(), LogisticRegression())",
        "make_pipeline(StandardScaler().fit(rows[['x', 'z']]), XGBClassifier())",
        "XGBClassifier()",
    ],
)
def test_an_estimator_that_was_not_fitted_is_named(tmp_path: Path, made: str) -> None:
    code = UserCode(UNFITTED.replace("{made}", made), "rows", {})
    frame = drawn()
    target = np.where(frame["x"] > 0, "yes", "no").astype(object)
    with pytest.raises(SpecError, match=r"`model` returned \w+ without having fitted it: call its `fit`"):
        train(tmp_path, frame, target, "text", code, auto=False)


@pytest.mark.parametrize("held_out", [True, False])
def test_a_gap_is_told_wherever_it_stands(tmp_path: Path, held_out: bool) -> None:
    frame, sets = drawn(), (ColumnSet(("x", "z"), ("StandardScaler",)),)
    given: dict[str, Any] = {"auto": False, "model_types": ("linear_learner",), "preprocessors": sets}
    target = (frame["x"] > 0).to_numpy().astype(np.int64)
    keys = np.sort(np.random.default_rng(1).integers(0, 2**64, len(frame), dtype=np.uint64))
    rows = TrainingRows(frame, target, keys, "d")
    job = make_job(
        tmp_path, (column("x"), column("z")), column("target", "integer"),
        spec=make_spec("target", settings=Settings(min_rows=2), **given),
    )  # fmt: skip
    sides = preparation.prepare(job, rows, Deadline(30), Report(Said().take))
    side = sides.holdout if held_out else sides.training
    frame.loc[np.isin(keys, side.keys[:1]), "x"] = np.nan
    with pytest.raises(TrainingDataError, match=r'column "x" is NULL in 1 rows.*put an Imputer before'):
        train(tmp_path, frame, target, "integer", **given)


def test_numbers_that_single_precision_does_not_tell_apart_are_told(tmp_path: Path) -> None:
    frame = drawn()
    target = 1.7e15 + 1e6 * (3 * frame["x"] + frame["z"]).to_numpy()
    _, said = train(tmp_path, frame, target, "double precision", problem_type="regression")
    assert any("subtract a constant" in line and line.startswith("warning") for line in said)
    _, said = train(tmp_path, frame, target - target.mean(), "double precision", problem_type="regression")
    assert not any("subtract a constant" in line for line in said)
    tested, said = train(
        tmp_path, frame, target, "double precision",
        problem_type="regression", auto=False, model_types=("linear_learner",),
    )  # fmt: skip
    assert tested.evaluation.metrics["r2"] > 0.99 and not any("subtract" in line for line in said)


XGBOOST: dict[str, Any] = {"auto": False, "model_types": ("xgboost",)}


@pytest.mark.parametrize(
    ("size", "given"),
    [
        (1e19, XGBOOST),
        (1e19, {"model_types": ("xgboost",)}),
        (1e40, {}),
        (1e300, {"auto": False, "model_types": ("mlp",)}),
    ],
)
def test_numbers_that_single_precision_does_not_hold_are_refused(
    tmp_path: Path, size: float, given: dict[str, Any]
) -> None:
    frame = drawn()
    target = size * (3 * frame["x"] + frame["z"]).to_numpy()
    with pytest.raises(
        TrainingDataError, match=r'target "target" has values up to .*divide it by a constant'
    ):
        train(tmp_path, frame, target, "double precision", problem_type="regression", **given)


@pytest.mark.parametrize(
    ("size", "given"),
    [
        (1e19, {}),
        (1e19, {**XGBOOST, "objective": "reg:absoluteerror"}),
        (1e25, {"auto": False, "model_types": ("additive",)}),
        (1e30, {"auto": False, "model_types": ("mlp",)}),
        (1e100, {"auto": False, "model_types": ("linear_learner",)}),
    ],
)
def test_great_numbers_are_learned_where_their_squares_are_not_taken(
    tmp_path: Path, size: float, given: dict[str, Any]
) -> None:
    frame = drawn()
    target = size * (3 * frame["x"] + frame["z"]).to_numpy()
    tested, _ = train(tmp_path, frame, target, "double precision", problem_type="regression", **given)
    assert tested.evaluation.metrics["r2"] > 0.95


def test_own_code_decides_its_precision(tmp_path: Path) -> None:
    text = LABELS.replace(
        "from sklearn.linear_model import LogisticRegression", "from sklearn.linear_model import Ridge"
    )
    text = text.replace("LogisticRegression()", "Ridge()").replace("{change}", "labels = rows['target']")
    frame = drawn()
    target = 1e40 * (3 * frame["x"] + frame["z"]).to_numpy()
    code = UserCode(text, "rows", {})
    tested, _ = train(
        tmp_path, frame, target, "double precision", code, problem_type="regression", auto=False
    )
    assert tested.evaluation.metrics["r2"] > 0.99


@pytest.mark.parametrize("n", [5, 6, 7])
def test_a_handful_of_rows_has_no_threshold_to_tune(tmp_path: Path, n: int) -> None:
    frame = drawn(n)
    tested, _ = train(tmp_path, frame, np.array([0, 1] * 4)[:n], "integer")
    assert tested.evaluation.metric == "f1"


def test_nan_among_exact_numbers_is_refused(tmp_path: Path) -> None:
    target = np.array([Decimal(2**60 + i % 2) for i in range(N)], dtype=object)
    target[3] = Decimal("NaN")
    with pytest.raises(TrainingDataError, match='target "target" is NaN or infinite in 1 of 300 rows'):
        train(tmp_path, drawn(), target, "numeric")
