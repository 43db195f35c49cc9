"""Hyperparameters that name columns mean the query's columns, however those are encoded for the fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ColumnSet
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.features.feature_columns import FeatureColumns
from postgres_ml.features.problem import resolve
from postgres_ml.fit.configured import configured_candidate, fit
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.snapshot.rows import TrainingRows
from support.training import make_spec

N = 600
FEATURES = ("state", "spend", "at", "calls")


def rows() -> TrainingRows:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "state": pd.Series(np.array(["n", "s", "w"], dtype=object)[np.arange(N) % 3], dtype=object),
            "spend": random.uniform(size=N),
            "at": np.datetime64("2024-01-01", "us") + np.arange(N) * np.timedelta64(86_400_000_000, "us"),
            "calls": random.uniform(size=N),
        }
    )
    target = np.sin(6 * frame["spend"]) + np.sin(6 * frame["calls"]) + (frame["state"] == "w")
    return TrainingRows(frame, target.to_numpy(), np.arange(N, dtype=np.uint64), "")


def fitted(hyperparameters: dict[str, Any], sets: tuple[ColumnSet, ...] | None = None) -> Any:
    spec = make_spec(
        "y", auto=False, model_types=("xgboost",), problem_type="regression",
        hyperparameters={"n_estimators": 20, "max_depth": 4, **hyperparameters},
    )  # fmt: skip
    training = rows()
    problem = resolve(spec, Column("y", "double precision", "number"), training.target, [])
    kinds = {"state": "text", "spend": "number", "at": "timestamp", "calls": "number"}
    columns = FeatureColumns(("spend", "at", "calls"), ("state",), sets, kinds)
    task = Task(spec, problem, columns, 1, Deadline(600), False)
    return fit(task, configured_candidate(spec, problem), training)


def steps(pipeline: Any, name: str) -> set[int]:
    """Return the signs of the prediction's changes when one column grows and the rest stay."""
    grid = rows().frame.head(40)
    found = set[int]()
    for _, row in grid.iterrows():
        line = pd.DataFrame([row] * 50).astype(grid.dtypes.to_dict())
        line[name] = np.linspace(0, 1, 50)
        found |= set(np.sign(np.diff(pipeline.predict(line))).astype(int).tolist())
    return found


@pytest.mark.parametrize(
    ("value", "up", "down"),
    [
        ({"spend": 1}, "spend", None),
        ({"calls": -1, "spend": "1"}, "spend", "calls"),
        ("(0,1,0,0)", "spend", None),
        ([0, 0, 0, -1], None, "calls"),
        ("{'spend': 1, 'calls': 0}", "spend", None),
    ],
)
def test_a_monotone_column_is_the_one_that_is_named(value: Any, up: str | None, down: str | None) -> None:
    pipeline = fitted({"monotone_constraints": value})
    for name in ("spend", "calls"):
        wrong = {up: {-1}, down: {1}}.get(name, {2})
        found = steps(pipeline, name)
        assert not found & wrong
        assert found >= {-1, 1} or name in (up, down)


def test_constraints_go_through_a_configured_preprocessing() -> None:
    sets = (ColumnSet(("spend", "calls"), ("ImputerWithIndicator", "StandardScaler")),)
    assert -1 not in steps(fitted({"monotone_constraints": {"calls": 1}}, sets), "calls")
    mixed = (ColumnSet(("spend", "calls"), ("PCA",)),)
    with pytest.raises(SpecError, match='can\'t be kept for column "calls"'):
        fitted({"monotone_constraints": {"calls": 1}}, mixed)


def test_columns_that_may_not_interact_add_up() -> None:
    groups = [["spend", "state"], ["calls"], ["at"]]
    for value in (groups, str(groups), [[1, 0], [3], [2]]):
        pipeline = fitted({"interaction_constraints": value})
        base = rows().frame.iloc[[0, 0, 0, 0]].reset_index(drop=True)
        base["spend"], base["calls"] = [0.1, 0.9, 0.1, 0.9], [0.1, 0.1, 0.9, 0.9]
        low, spend, calls, both = pipeline.predict(base).tolist()
        assert both - calls == pytest.approx(spend - low, abs=1e-5)


def test_a_weight_of_zero_keeps_a_column_out() -> None:
    weights = {"calls": 0, "state": 0, "at": 0}
    for value in (weights, [0, 1, 0, 0]):
        pipeline = fitted({"feature_weights": value, "colsample_bytree": 0.12})
        used = set(pipeline[-1].get_booster().get_score())
        assert used == {"f0"}


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"monotone_constraints": {"spent": 1}}, "names spent, which is no feature column of the query; these are state"),
        ({"monotone_constraints": "(0,1,0)"}, "has 3 numbers, and the query has 4 feature columns"),
        ({"monotone_constraints": {"state": 1}}, 'can\'t be kept for column "state"'),
        ({"monotone_constraints": {"at": -1}}, 'can\'t be kept for column "at"'),
        ({"monotone_constraints": {"spend": 2}}, "must be -1, 0 or 1 for spend"),
        ({"monotone_constraints": {"spend": "up"}}, "must have numbers as values"),
        ({"monotone_constraints": "spend up"}, "neither a dict nor a list"),
        ({"interaction_constraints": [["spend", "visits"]]}, "names visits, which is no feature column"),
        ({"interaction_constraints": [[0, 9]]}, "has positions from 0 to 3"),
        ({"interaction_constraints": {"spend": 1}}, "must be a list of lists"),
        ({"feature_weights": {"spend": -1}}, "must have weights of at least 0"),
        ({"feature_weights": [1, 2]}, "has 2 numbers"),
    ],
)  # fmt: skip
def test_what_can_not_be_translated_is_refused(hyperparameters: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message.replace("(", r"\(")):
        fitted(hyperparameters)
