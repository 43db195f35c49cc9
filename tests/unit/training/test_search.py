from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from postgres_ml.candidates import Candidate, automatic, build_estimator
from postgres_ml.exceptions import PostgresMLError, SpecError
from postgres_ml.explicit import configured
from postgres_ml.fit import Choice, Deadline, Task, fit_pipeline
from postgres_ml.preprocess import FeatureColumns
from postgres_ml.problem import Problem, resolve
from postgres_ml.search import Matrices, Trial, choose, cross_validate, search
from postgres_ml.spec import Settings
from postgres_ml.training_data import TrainingRows, load
from training_support import CHURN_COLUMNS, CHURN_TARGET, churn_rows, column, make_spec, write_snapshot

CHURN = FeatureColumns(("calls", "minutes"), ("plan",))


@pytest.fixture
def rows(tmp_path: Path) -> TrainingRows:
    path = tmp_path / "snapshot.csv"
    write_snapshot(path, churn_rows(600))
    return load(path, CHURN_COLUMNS, CHURN_TARGET)


def task_for(rows: TrainingRows, seconds: float = 600, **changes: Any) -> Task:
    spec = make_spec(**changes)
    return Task(spec, resolve(spec, CHURN_TARGET, rows.target, []), CHURN, 1, Deadline(seconds))


def trial(name: str, score: float, loss: float, n_nodes: int, raw: np.ndarray, truth: np.ndarray) -> Trial:
    return Trial(Candidate(name, "xgboost"), score, loss, 10, n_nodes, 0.5, 1.0, truth, raw)


def trials_of(*probabilities: np.ndarray, truth: np.ndarray, sizes: tuple[int, ...]) -> list[Trial]:
    made = []
    for number, (positive, size) in enumerate(zip(probabilities, sizes, strict=True)):
        raw = np.column_stack([1 - positive, positive])
        accuracy = float(np.mean((positive >= 0.5) == truth))
        loss = float(-np.mean(np.log(raw[np.arange(len(truth)), truth])))
        made.append(trial(f"t{number}", accuracy, loss, size, raw, truth))
    return made


def accuracy_task() -> Task:
    problem = Problem("binary_classification", "accuracy", "accuracy", np.array(["no", "yes"], dtype=object))
    return Task(make_spec(), problem, CHURN, 1, Deadline(10))


def test_a_clearly_better_score_wins_whatever_its_size() -> None:
    truth = np.arange(1000) % 2
    good, bad = np.where(truth == 1, 0.8, 0.2), np.full(1000, 0.6)
    best, reason = choose(accuracy_task(), trials_of(bad, good, truth=truth, sizes=(1, 10_000)))
    assert best.candidate.name == "t1" and "best accuracy" in reason


def test_among_equal_scores_the_surer_candidate_wins() -> None:
    truth = np.arange(1000) % 2
    sure, unsure = np.where(truth == 1, 0.95, 0.05), np.where(truth == 1, 0.55, 0.45)
    best, reason = choose(accuracy_task(), trials_of(unsure, sure, truth=truth, sizes=(1, 10_000)))
    assert best.candidate.name == "t1"
    assert "as good as" in reason


def test_among_equals_in_everything_the_smaller_wins() -> None:
    truth = np.arange(1000) % 2
    same = np.where(truth == 1, 0.9, 0.1)
    best, _ = choose(accuracy_task(), trials_of(same, same.copy(), truth=truth, sizes=(500, 20)))
    assert best.n_nodes == 20


def test_out_of_fold_predictions_cover_every_row_once(rows: TrainingRows) -> None:
    task = task_for(rows)
    found = cross_validate(task, Candidate("linear", "linear_learner"), Matrices(task, rows))
    assert found is not None
    assert np.array_equal(found.truth, task.problem.encode(rows.target))
    assert found.raw.shape == (600, 2) and np.allclose(found.raw.sum(axis=1), 1)


def test_auto_is_the_same_each_time_and_says_what_it_tried(rows: TrainingRows) -> None:
    lines: list[str] = []
    first = search(task_for(rows), rows, lines.append)
    second = search(task_for(rows), rows, lambda _: None)
    assert len(lines) == len(first.trials) == 4 and all("f1" in line for line in lines)
    assert (first.candidate, first.n_trees, first.threshold) == (
        second.candidate,
        second.n_trees,
        second.threshold,
    )
    assert np.array_equal(first.trials[-1].raw, second.trials[-1].raw)


def test_auto_compares_only_the_model_types_asked_for(rows: TrainingRows) -> None:
    assert [c.model_type for c in automatic(make_spec(model_types=("linear_learner",)))] == ["linear_learner"]
    assert {c.model_type for c in automatic(make_spec(model_types=("xgboost",)))} == {"xgboost"}


def test_a_deadline_that_has_passed_leaves_nothing_and_says_so(rows: TrainingRows) -> None:
    with pytest.raises(PostgresMLError, match="max_runtime of 0 s ended before one candidate"):
        search(task_for(rows, seconds=0), rows, lambda _: None)


def test_boosting_stops_at_the_deadline(rows: TrainingRows) -> None:
    task = task_for(rows, seconds=-1)
    choice = Choice(Candidate("xgboost", "xgboost", {"n_estimators": 500}))
    pipeline = fit_pipeline(task, choice, rows, task.deadline)
    assert pipeline[-1].estimator_.get_booster().num_boosted_rounds() == 1
    assert pipeline[-1].estimator_.callbacks is None  # it would be pickled
    unbounded = fit_pipeline(task, dataclasses.replace(choice, n_trees=3), rows, None)
    assert unbounded[-1].estimator_.get_booster().num_boosted_rounds() == 3


def test_a_threshold_reaches_the_pipeline(rows: TrainingRows) -> None:
    task = task_for(rows)
    linear = Choice(Candidate("linear", "linear_learner"), threshold=0.1)
    pipeline = fit_pipeline(task, linear, rows, None)
    positive = pipeline.predict_proba(rows.frame)[:, 1] >= 0.1
    assert np.array_equal(pipeline.predict(rows.frame) == "yes", positive)


def test_hyperparameters_reach_xgboost(rows: TrainingRows) -> None:
    given = {"num_round": "7", "eta": "0.5", "max_depth": 2, "lambda": 3}
    task = task_for(
        rows, auto=False, model_types=("xgboost",), hyperparameters=given, objective="binary:logistic"
    )
    choice = search(task, rows, lambda _: None)
    assert choice.trials == ()
    estimator = fit_pipeline(task, choice, rows, task.deadline)[-1].estimator_
    assert estimator.get_booster().num_boosted_rounds() == 7
    assert (estimator.learning_rate, estimator.max_depth, estimator.reg_lambda) == (0.5, 2, 3.0)


def test_softmax_is_trained_as_softprob_which_grows_the_same_trees() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(300, 3)), random.integers(0, 3, 300)
    problem = Problem("multiclass_classification", "accuracy", "multi:softmax", np.arange(3))
    spec = make_spec(auto=False, model_types=("xgboost",), objective="multi:softmax")
    candidate = configured(spec, problem)
    assert candidate.parameters == {"objective": "multi:softprob"}
    softprob = build_estimator(candidate, problem, 0, 1, n_estimators=5).fit(x, y)
    softmax = build_estimator(candidate, problem, 0, 1, n_estimators=5, objective="multi:softmax").fit(x, y)
    assert np.array_equal(softprob.predict(x), softmax.predict(x))
    assert softprob.get_booster().get_dump() == softmax.get_booster().get_dump()


def test_a_hyperparameter_of_the_other_linear_estimator_is_refused(rows: TrainingRows) -> None:
    task = task_for(rows, auto=False, model_types=("linear_learner",), hyperparameters={"alpha": 1})
    with pytest.raises(SpecError, match="no alpha for a binary_classification; it has C,"):
        search(task, rows, lambda _: None)


@pytest.mark.parametrize(
    ("hyperparameters", "cause"),
    [
        ({"tweedie_variance_power": 1.5, "monotone_constraints": "up"}, "monotone_constraints"),
        ({"tree_method": "exact", "max_leaves": 3}, ""),
    ],
)
def test_values_that_xgboost_refuses_are_config_errors(
    rows: TrainingRows, hyperparameters: dict, cause: str
) -> None:
    task = task_for(rows, auto=False, model_types=("xgboost",), hyperparameters=hyperparameters)
    choice = search(task, rows, lambda _: None)
    if not cause:
        fit_pipeline(task, choice, rows, task.deadline)  # xgboost takes it
        return
    with pytest.raises(SpecError, match=rf"xgboost refuses these hyperparameters: .*{cause}"):
        fit_pipeline(task, choice, rows, task.deadline)


def test_settings_have_the_documented_defaults() -> None:
    assert dataclasses.asdict(Settings()) == {
        "max_cells": 1_000_000, "max_runtime": 5400.0, "max_trials": None, "seed": 0, "holdout": 0.2,
        "holdout_column": None, "holdout_time": None, "holdout_after": None, "min_rows": 500, "refit": True,
        "keep_versions": 5,
    }  # fmt: skip


def test_regression_columns_are_cross_validated_by_mse(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    given = [
        (float(x), float(3 * x + e))
        for x, e in zip(random.normal(size=400), random.normal(size=400) / 9, strict=True)
    ]
    path = tmp_path / "snapshot.csv"
    write_snapshot(path, given)
    rows = load(path, (column("x"),), column("target"))
    spec = make_spec()
    task = Task(
        spec, resolve(spec, column("target"), rows.target, []), FeatureColumns(("x",), ()), 1, Deadline(60)
    )
    choice = search(task, rows, lambda _: None)
    assert choice.candidate.name == "linear"
    assert -choice.trials[0].score == pytest.approx(1 / 81, rel=0.3)
