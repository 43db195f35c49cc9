"""Trainings that read their rows from disk against the same in memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml import pipeline
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ColumnSet, Settings
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.contract.model import TrainedModel
from postgres_ml.out_of_core.plan import MemoryPlan
from postgres_ml.publish.fitted import Fitted
from support.training import (
    CHURN_COLUMNS,
    CHURN_TARGET,
    churn_rows,
    column,
    make_job,
    make_spec,
    write_snapshot,
)

N = 4_000
GB = 10**9
PLAN = MemoryPlan(cap=GB, needed=9 * GB, n_rows=N, n_file_rows=333, n_sampled=900, n_fitting=1_500)
ROWS = churn_rows(N)


@dataclasses.dataclass
class Trained:
    model: TrainedModel
    fitted: Fitted
    lines: list[tuple[str, str]]

    def raw(self, frame: pd.DataFrame) -> Any:
        found = self.fitted.pipeline
        return found.predict(frame) if self.fitted.task.problem.is_regression else found.predict_proba(frame)


def train(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple[Any, ...]],
    plan: MemoryPlan | None,
    target: Column = CHURN_TARGET,
    settings: Settings | None = None,
    **config: Any,
) -> Trained:
    """Train as the child does, without plots and MLflow."""
    given: dict[str, Any] = {"auto": False, "model_types": ("xgboost",), **config}
    settings = settings or Settings(min_rows=10)
    spec = make_spec(target.name, settings=settings, **given)
    folder.mkdir()
    write_snapshot(folder / "snapshot.bin", rows)
    job = make_job(folder, CHURN_COLUMNS, target, spec=spec)
    kept: list[Fitted] = []
    lines: list[tuple[str, str]] = []
    monkeypatch.setattr(pipeline, "plan_memory", lambda *_: plan)
    monkeypatch.setattr(pipeline, "write_artifacts", lambda *_: None)
    monkeypatch.setattr(pipeline, "write_record", lambda fitted, _: kept.append(fitted))
    model = pipeline.train(job, lambda: "run", lambda level, text, fields=None: lines.append((level, text)))
    assert not [path for path in folder.iterdir() if path.name.startswith(("rows", "snapshot"))]
    return Trained(model, kept[0], lines)


def both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Any, **config: Any
) -> tuple[Trained, Trained]:
    return (
        train(tmp_path / "memory", monkeypatch, rows, None, **config),
        train(tmp_path / "disk", monkeypatch, rows, PLAN, **config),
    )


def regression() -> list[tuple[Any, ...]]:
    return [(a, b, c, 0.1 * (c or 0) + (a or 0) + 3 * (b == "gold")) for a, b, c, _ in ROWS]


def three_classes() -> list[tuple[Any, ...]]:
    return [(a, b, c, "abc"[(a or 0) // 4]) for a, b, c, _ in ROWS]


@pytest.mark.parametrize(
    ("rows", "target", "config"),
    [
        (ROWS, CHURN_TARGET, {}),
        (three_classes(), CHURN_TARGET, {"hyperparameters": {"num_round": 4}}),
        (regression(), column("target"), {"hyperparameters": {"num_round": 9}}),
        (ROWS, CHURN_TARGET, {"objective": "binary:hinge", "hyperparameters": {"num_round": 4}}),
        (
            regression(),
            column("target"),
            {
                "objective": "reg:quantileerror",
                "hyperparameters": {
                    "quantile_alpha": 0.9,
                    "monotone_constraints": {"minutes": 1},
                    "num_round": 9,
                },
            },
        ),
    ],
)
def test_xgboost_learns_the_same_trees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Any, target: Column, config: Any
) -> None:
    memory, disk = both(tmp_path, monkeypatch, rows, target=target, **config)
    frame = memory.fitted.rows.frame
    np.testing.assert_allclose(disk.raw(frame), memory.raw(frame), atol=1e-6)
    assert disk.model.evaluation.metrics == pytest.approx(memory.model.evaluation.metrics, abs=1e-6)
    for count in ("n_rows", "n_holdout"):
        assert getattr(disk.model.summary, count) == getattr(memory.model.summary, count)
    said = " ".join(text for _, text in disk.lines)
    assert "4,000 rows would take 9.0 GB of memory, and max_memory is 1.0 GB" in said and "13 files" in said


@pytest.mark.parametrize(
    ("rows", "target"),
    [(ROWS, CHURN_TARGET), (three_classes(), CHURN_TARGET), (regression(), column("target"))],
)
def test_linear_models_predict_within_the_samples_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Any, target: Column
) -> None:
    memory, disk = both(tmp_path, monkeypatch, rows, target=target, model_types=("linear_learner",))
    frame = memory.fitted.rows.frame
    spread = np.std(memory.raw(frame))
    assert np.abs(disk.raw(frame) - memory.raw(frame)).max() < 0.02 * spread


def test_the_serving_version_is_scored_on_the_whole_hold_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    first = train(tmp_path / "first", monkeypatch, ROWS, None, hyperparameters={"num_round": 5})
    champion = {
        "version": 1, "program": first.model.evaluation.program, "labels": ["no", "yes"],
        "settings": dataclasses.asdict(Settings(min_rows=10)),
    }  # fmt: skip
    (tmp_path / "champion.json").write_text(json.dumps(champion))
    original = pipeline.score_champion

    def scored(job: Any, *given: Any) -> Any:
        return original(dataclasses.replace(job, champion_file=str(tmp_path / "champion.json")), *given)

    monkeypatch.setattr(pipeline, "score_champion", scored)
    second = train(tmp_path / "second", monkeypatch, ROWS, PLAN, promote="if_better")
    assert second.model.evaluation.champion_score == pytest.approx(first.model.evaluation.score, abs=1e-6)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_types": ("mlp",), "hyperparameters": {"max_iter": 3}}, "mlp is fitted in memory"),
        ({"hyperparameters": {"tree_method": "exact", "num_round": 3}}, "xgboost with tree_method exact"),
        (
            {"preprocessors": (ColumnSet(("calls",), ("Imputer", "StandardScaler")),)},
            "configured preprocessors are fitted in memory",
        ),
        (
            {"model_types": ("linear_learner",), "hyperparameters": {"l1_ratio": 0.5, "solver": "saga"}},
            "linear_learner with solver saga, l1_ratio 0.5",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_needs_its_rows_in_memory_learns_from_as_many_as_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Any, reason: str
) -> None:
    found = train(tmp_path / "disk", monkeypatch, ROWS, PLAN, **config)
    (warning,) = (text for level, text in found.lines if level == "warning")
    assert reason in warning and "learns from 1,5" in warning and "of 4,000 rows" in warning
    assert found.model.summary.n_rows == pytest.approx(1_500, abs=2)


def test_auto_searches_on_what_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(min_rows=10, max_runtime=20, max_trials=2)
    found = train(tmp_path / "disk", monkeypatch, ROWS, PLAN, settings=settings, auto=True)
    learned = found.model.summary.n_rows
    if found.fitted.choice.candidate.model_type == "xgboost" and learned == N:
        assert not [text for level, text in found.lines if level == "warning"]
    else:
        assert learned == pytest.approx(1_050, abs=2)
        assert "as many as max_memory holds" in " ".join(text for _, text in found.lines)
    assert found.model.evaluation.metrics["accuracy"] > 0.85


def test_a_column_that_is_infinite_in_one_row_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [*ROWS[:-1], (1, "gold", float("inf"), "yes")]
    with pytest.raises(TrainingDataError, match=r'column "minutes" is infinite .* in 1 rows'):
        train(tmp_path / "disk", monkeypatch, rows, PLAN)


def test_a_hyperparameter_that_xgboost_refuses_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SpecError, match="xgboost rejects these hyperparameters"):
        train(tmp_path / "disk", monkeypatch, ROWS, PLAN, hyperparameters={"eval_metric": "nonsense"})
