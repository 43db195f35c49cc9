from __future__ import annotations

import dataclasses
import functools
import importlib
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import SpecError
from postgres_ml.evaluate.evaluation import some_of
from postgres_ml.explain import explain
from postgres_ml.features.feature_columns import FeatureColumns, choose_columns
from postgres_ml.features.problem import Problem, resolve
from postgres_ml.fit.candidates import Candidate, Member, build_estimator
from postgres_ml.fit.choice import Choice
from postgres_ml.fit.configured import configured_candidate
from postgres_ml.fit.fit import fit_pipeline
from postgres_ml.fit.in_time import SCORES_SHARE, refit
from postgres_ml.fit.stop import StopAtSize
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.lower import parse_pipeline
from postgres_ml.process.report import Report
from postgres_ml.publish.deployment import inputs_of
from postgres_ml.search import EXPLAINED, search
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.ensemble import final_members
from postgres_ml.search.fold_fit import fit_split
from postgres_ml.search.folds import Folds
from postgres_ml.search.portfolio import portfolio
from postgres_ml.search.runner import is_hopeless
from postgres_ml.snapshot.rows import TrainingRows, load
from support.training import CHURN_COLUMNS, CHURN_TARGET, churn_rows, column, make_spec, write_snapshot

CHURN = FeatureColumns(("calls", "minutes"), ("plan",))


@pytest.fixture
def rows(tmp_path: Path) -> TrainingRows:
    path = tmp_path / "snapshot.bin"
    write_snapshot(path, churn_rows(600))
    return load(path, CHURN_COLUMNS, CHURN_TARGET)


def task_for(rows: TrainingRows, seconds: float = 600, **changes: Any) -> Task:
    spec = make_spec(**changes)
    return Task(spec, resolve(spec, CHURN_TARGET, rows.target, []), CHURN, 1, Deadline(seconds))


def quiet(text: str, fields: dict[str, Any] | None) -> None:
    """Take progress and do nothing."""


def test_trials_are_the_same_each_time_on_any_number_of_threads(rows: TrainingRows) -> None:
    task = task_for(rows, settings=Settings(max_trials=4, seed=3))
    first = search(task, rows, quiet)
    second = search(dataclasses.replace(task, n_threads=3), rows, quiet)
    assert len(first.trials) == 4
    for one, other in zip(first.trials, second.trials, strict=True):
        assert (one.candidate, one.state, one.loss, one.score, one.n_trees, one.threshold) == (
            other.candidate, other.state, other.loss, other.score, other.n_trees, other.threshold,
        )  # fmt: skip
    assert (first.candidate, first.n_trees, first.members) == (
        second.candidate,
        second.n_trees,
        second.members,
    )
    fitted = [fit_pipeline(task, choice, rows, None).predict_proba(rows.frame) for choice in (first, second)]
    assert np.array_equal(fitted[0], fitted[1])


def test_optuna_goes_on_after_the_portfolio_and_is_seeded(rows: TrainingRows) -> None:
    task = task_for(rows, model_types=("linear_learner",), settings=Settings(max_trials=7))
    first, second = (search(task, rows, quiet) for _ in range(2))
    names = [trial.candidate.name for trial in first.trials]
    assert names[:4] == ["linear scaled 1", "linear ladder 0.1", "linear scaled 0.03", "linear ladder 0.01"]
    assert names[4:] == ["linear search 1", "linear search 2", "linear search 3"]
    assert [t.candidate for t in first.trials] == [t.candidate for t in second.trials]


def test_progress_is_said_in_words_and_in_fields(rows: TrainingRows) -> None:
    lines: list[tuple[str, dict[str, Any] | None]] = []
    search(
        task_for(rows, settings=Settings(max_trials=2)),
        rows,
        lambda text, fields: lines.append((text, fields)),
    )
    (first, _), *_, (end, fields) = lines
    assert first == "" and end == "the search ended after 2 candidates" and fields is not None
    assert (fields["phase"], fields["metric"]) == ("search", "f1") and fields["trials"] in (1, 2)
    assert 0 < fields["score"] <= 1 and 0 < fields["seconds_left"] <= 600
    assert fields["best"] == "linear model" or fields["best"].startswith("boosted trees, depth")


def test_auto_compares_only_the_model_types_asked_for(rows: TrainingRows) -> None:
    codes = (rows.target == "yes").astype(np.int64)
    for wanted in ("linear_learner", "xgboost", "mlp", "additive"):
        found = portfolio(task_for(rows, model_types=(wanted,)), codes)
        assert {candidate.model_type for candidate in found} == {wanted}
    in_sql = {candidate.model_type for candidate in portfolio(task_for(rows), codes)}
    native = dataclasses.replace(task_for(rows), is_sql=False)
    assert in_sql == {"linear_learner", "xgboost", "additive"}
    assert {candidate.model_type for candidate in portfolio(native, codes)} == {*in_sql, "mlp"}


class Ticks:
    """A clock that moves when it is looked at, and nothing else moves."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.mark.parametrize("seconds", [2.0, 6.0])
def test_the_search_leaves_time_for_what_comes_after_it(rows: TrainingRows, seconds: float) -> None:
    clock = Ticks(0.002)  # boosting looks at it after each round: 100 rounds are a fifth of a second
    task = dataclasses.replace(task_for(rows), deadline=Deadline(seconds, clock))
    lines: list[str] = []
    choice = search(task, rows, lambda text, _: lines.append(text))
    assert task.deadline.left > 0 and choice.trials[0].state == "done"
    assert "the search reached max_runtime" in lines[-1]
    fit_pipeline(task, choice, rows, task.deadline)
    assert task.deadline.left > -0.05 * seconds


@pytest.fixture
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    portfolios = importlib.import_module("postgres_ml.search.portfolio")
    monkeypatch.setattr(portfolios, "HIDDEN", (8, 8))
    monkeypatch.setattr(portfolios, "WIDE", (16, 16))
    monkeypatch.setattr(portfolios, "MLP_STEPS", 300)


@pytest.mark.usefixtures("small_networks")
@pytest.mark.parametrize("seconds", [1.0, 4.0])
def test_search_evaluation_and_refit_keep_within_max_runtime(
    rows: TrainingRows, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()

    def clock() -> float:
        """Each look takes 2 ms: boosting and networks look after each round and epoch."""
        return 0.002 * next(ticks)

    deadline = Deadline(seconds, clock)
    monkeypatch.setattr(time, "thread_time", clock)  # or a busy machine's fits would seem dear
    task = dataclasses.replace(task_for(rows), is_sql=False, n_threads=2, deadline=deadline)
    report = Report(lambda level, text, fields=None: None)
    choice = search(task, rows, quiet)
    started = deadline.left
    fit_pipeline(task, choice, rows, deadline.part(1 - SCORES_SHARE))
    report.seconds["evaluate"] = started - deadline.left
    refit(task, choice, rows, report)
    # of one second, boosting and its final fits would take more than is left: only the linear model is tried
    assert -0.05 * seconds < deadline.left < (0.75 if seconds == 1 else 0.7) * seconds


@pytest.mark.usefixtures("small_networks")
def test_a_blend_with_networks_is_the_same_to_the_bit_in_any_order_of_rows(tmp_path: Path) -> None:
    given = churn_rows(600)
    predicted, chosen = [], []
    for name, order, n_threads in (("a", given, 1), ("b", given[::-1], 3)):
        write_snapshot(tmp_path / name, order)
        ours = load(tmp_path / name, CHURN_COLUMNS, CHURN_TARGET)
        task = task_for(ours, settings=Settings(max_trials=10, seed=5))
        task = dataclasses.replace(task, is_sql=False, n_threads=n_threads)
        trials = [trial for trial in search(task, ours, quiet).trials if trial.state == "done"]
        one_of_each = {trial.candidate.model_type: trial for trial in trials}
        members = final_members(task, [(trial, 1 / 4) for trial in one_of_each.values()])
        blend = Choice(Candidate("all", "ensemble"), members=members)
        chosen.append(members)
        predicted.append(fit_pipeline(task, blend, ours, task.deadline).predict_proba(ours.frame))
    kinds = {member.candidate.model_type for member in chosen[0]}
    assert kinds == {"linear_learner", "xgboost", "mlp", "additive"}
    assert chosen[0] == chosen[1] and len(chosen[0]) == 6, "the network from three seeds"
    assert np.array_equal(predicted[0], predicted[1])


def test_a_search_that_gains_nothing_more_ends(rows: TrainingRows) -> None:
    lines: list[str] = []
    choice = search(task_for(rows, model_types=("linear_learner",)), rows, lambda text, _: lines.append(text))
    assert "converged after" in lines[-1] and len(choice.trials) < 40


def test_no_time_at_all_leaves_the_simplest_candidate_and_says_so(rows: TrainingRows) -> None:
    lines: list[str] = []
    choice = search(task_for(rows, seconds=0), rows, lambda text, _: lines.append(text))
    assert choice.candidate.name == "linear scaled 1" and "too short" in choice.reason
    assert "raise max_runtime" in lines[-1]
    assert fit_pipeline(task_for(rows), choice, rows, None).predict(rows.frame[:1])[0] in ("yes", "no")


def test_a_network_is_chosen_and_fitted_where_it_is_all_there_is(rows: TrainingRows) -> None:
    task = task_for(rows, model_types=("mlp",), settings=Settings(max_trials=1))
    choice = search(task, rows, quiet)
    assert choice.candidate.model_type == "mlp" and choice.n_trees
    pipeline = fit_pipeline(task, choice, rows, task.deadline)
    assert pipeline[-1].estimator_.is_late is None  # it would be pickled
    assert np.mean(pipeline.predict(rows.frame) == rows.target) > 0.85


def test_a_blend_takes_the_columns_themselves(rows: TrainingRows) -> None:
    trees = Candidate("trees", "xgboost", {"learning_rate": 0.3, "max_depth": 2}, encoding="codes")
    linear = Candidate("linear", "linear_learner", {"C": 1.0}, encoding="ladder")
    members = (Member(trees, 5, 0.75), Member(linear, None, 0.25))
    choice = Choice(Candidate("both", "ensemble"), threshold=0.3, members=members)
    task = task_for(rows)
    pipeline = fit_pipeline(task, choice, rows, task.deadline)
    alone = [
        fit_pipeline(task, Choice(m.candidate, m.n_rounds), rows, None).predict_proba(rows.frame)[:, 1]
        for m in members
    ]
    positive = pipeline.predict_proba(rows.frame)[:, 1]
    assert np.allclose(positive, 0.75 * alone[0] + 0.25 * alone[1], atol=1e-7)
    assert np.array_equal(pipeline.predict(rows.frame) == "yes", positive >= 0.3)
    inside = pipeline[-1].estimator_.estimators_[0][-1]
    assert inside.callbacks is None and inside.get_booster().num_boosted_rounds() == 5


def test_boosting_stops_at_the_deadline(rows: TrainingRows) -> None:
    task = task_for(rows, seconds=-1)
    choice = Choice(Candidate("xgboost", "xgboost", {"n_estimators": 500}))
    pipeline = fit_pipeline(task, choice, rows, task.deadline)
    assert pipeline[-1].estimator_.get_booster().num_boosted_rounds() == 1
    assert pipeline[-1].estimator_.callbacks is None  # it would be pickled
    unbounded = fit_pipeline(task, dataclasses.replace(choice, n_trees=3), rows, None)
    assert unbounded[-1].estimator_.get_booster().num_boosted_rounds() == 3


def test_a_fit_on_all_rows_that_the_deadline_cuts_short_is_not_published(rows: TrainingRows) -> None:
    lines: list[str] = []
    report = Report(lambda level, text, fields=None: lines.append(text))
    report.seconds["evaluate"] = 1.0
    seconds = itertools.count()  # every look at the clock takes one, and there is one after each tree
    task = dataclasses.replace(task_for(rows), deadline=Deadline(4.5, lambda: next(seconds)))
    trees = Choice(Candidate("xgboost", "xgboost", {"n_estimators": 50}))
    assert refit(task, trees, rows, report) is None and "evaluated pipeline is published" in lines[-1]
    linear = Choice(Candidate("linear", "linear_learner"))
    task = dataclasses.replace(task, deadline=Deadline(2.5, lambda: next(seconds)))
    assert refit(task, linear, rows, report) is not None, "its fit is whole, however late"
    task = dataclasses.replace(task, deadline=Deadline(1.2, Ticks(0.1)))
    assert refit(task, linear, rows, report) is None and "leaves no time" in lines[-1]


@pytest.mark.parametrize("name", ["linear scaled 1", "xgboost r89", "mlp quantile"])
def test_a_trial_whose_time_is_over_at_once_is_one_of_a_single_round(rows: TrainingRows, name: str) -> None:
    task = dataclasses.replace(task_for(rows), is_sql=False)
    encoded = EncodedRows(task, rows)
    (candidate,) = (found for found in portfolio(task, encoded.codes) if found.name == name)
    fitted = fit_split(task, candidate, encoded, encoded.folds.splits[0], Deadline(-1))
    assert fitted.n_rounds == (0 if name.startswith("linear") else 1)
    assert fitted.raw.shape == (len(encoded.folds.splits[0].valid), 2) and fitted.best_s == fitted.cpu_s


def test_at_most_a_hundred_thousand_training_rows_are_scored(rows: TrainingRows) -> None:
    n = 250_000
    target = np.arange(n) % 2
    many = TrainingRows(pd.DataFrame({"x": np.arange(n)}), target, np.arange(n, dtype=np.uint64), "")
    scored = some_of(task_for(rows).problem, many)
    assert len(scored) == 83_334 and scored.frame["x"].tolist()[:3] == [0, 3, 6]
    assert len(some_of(task_for(rows).problem, rows)) == len(rows)
    clusters = Problem("clustering", "inertia", "inertia", target[:0])
    assert len(some_of(clusters, many)) == n


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
    choice = search(task, rows, quiet)
    assert choice.trials == ()
    estimator = fit_pipeline(task, choice, rows, task.deadline)[-1].estimator_
    assert estimator.get_booster().num_boosted_rounds() == 7
    assert (estimator.learning_rate, estimator.max_depth, estimator.reg_lambda) == (0.5, 2, 3.0)


def test_softmax_is_trained_as_softprob_which_grows_the_same_trees() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(300, 3)), random.integers(0, 3, 300)
    problem = Problem("multiclass_classification", "accuracy", "multi:softmax", np.arange(3))
    spec = make_spec(auto=False, model_types=("xgboost",), objective="multi:softmax")
    candidate = configured_candidate(spec, problem)
    assert candidate.parameters == {"objective": "multi:softprob"}
    softprob = build_estimator(candidate, problem, 0, 1, n_estimators=5).fit(x, y)
    softmax = build_estimator(candidate, problem, 0, 1, n_estimators=5, objective="multi:softmax").fit(x, y)
    assert np.array_equal(softprob.predict(x), softmax.predict(x))
    assert softprob.get_booster().get_dump() == softmax.get_booster().get_dump()


def test_a_hyperparameter_of_the_other_linear_estimator_is_refused(rows: TrainingRows) -> None:
    task = task_for(rows, auto=False, model_types=("linear_learner",), hyperparameters={"alpha": 1})
    with pytest.raises(SpecError, match="no alpha for a binary_classification; it has C,"):
        search(task, rows, quiet)


@pytest.mark.parametrize(
    ("hyperparameters", "cause"),
    [
        (
            {"tweedie_variance_power": 1.5, "multi_strategy": "up"},
            "xgboost rejects these .*one_output_per_tree",
        ),
        ({"monotone_constraints": "up"}, "'monotone_constraints' is neither a dict nor a list: 'up'"),
        ({"tree_method": "exact", "max_leaves": 3}, ""),
    ],
)
def test_values_that_xgboost_refuses_are_config_errors(
    rows: TrainingRows, hyperparameters: dict, cause: str
) -> None:
    task = task_for(rows, auto=False, model_types=("xgboost",), hyperparameters=hyperparameters)
    choice = search(task, rows, quiet)
    if not cause:
        fit_pipeline(task, choice, rows, task.deadline)  # xgboost takes it
        return
    with pytest.raises(SpecError, match=cause):
        fit_pipeline(task, choice, rows, task.deadline)


def test_settings_have_the_documented_defaults() -> None:
    assert dataclasses.asdict(Settings()) == {
        "max_cells": 1_000_000, "max_runtime": 5400.0, "max_trials": None, "seed": 0, "holdout": 0.2,
        "holdout_column": None, "holdout_time": None, "holdout_after": None, "min_rows": 500, "refit": True,
        "keep_versions": 5, "horizon": None, "frequency": None, "percentiles": ("mean", "0.1", "0.5", "0.9"),
        "max_memory": None, "compute": "local", "sql_tolerance": 0.015,
    }  # fmt: skip


def numbers(tmp_path: Path, n: int, target: Any) -> tuple[Task, TrainingRows]:
    random = np.random.default_rng(0)
    given = [(float(x), float(target(x, random.normal()))) for x in random.normal(size=n)]
    path = tmp_path / "snapshot.bin"
    write_snapshot(path, given)
    rows = load(path, (column("x"),), column("target"))
    spec = make_spec(settings=Settings(max_trials=3))
    problem = resolve(spec, column("target"), rows.target, [])
    return Task(spec, problem, FeatureColumns(("x",), ()), 1, Deadline(60)), rows


def test_regression_columns_are_cross_validated_by_mse(tmp_path: Path) -> None:
    task, rows = numbers(tmp_path, 400, lambda x, noise: 3 * x + noise / 9)
    choice = search(task, rows, quiet)
    assert choice.candidate.model_type == "linear_learner"
    assert -choice.trials[0].score == pytest.approx(1 / 81, rel=0.3)


def test_skewed_targets_are_also_learnt_as_logarithms(tmp_path: Path) -> None:
    task, rows = numbers(tmp_path, 400, lambda x, noise: np.exp(2 * x + noise / 9))
    choice = search(task, rows, quiet)
    assert [t.candidate.name for t in choice.trials][:2] == [
        "linear scaled 1",
        "linear scaled 1 of the logarithm",
    ]
    assert choice.candidate.log_target
    fitted = fit_pipeline(task, choice, rows, task.deadline)
    assert np.corrcoef(np.log(fitted.predict(rows.frame)), np.log(rows.target))[0, 1] > 0.99


def test_text_of_many_categories_becomes_the_targets_mean(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    level = random.random(300)
    given = []
    for _ in range(3000):
        shop = int(random.integers(0, 300))
        given.append(
            (f"shop {shop}", float(random.normal()), "yes" if random.random() < level[shop] else "no")
        )
    path = tmp_path / "snapshot.bin"
    write_snapshot(path, given)
    features = (column("shop", "text"), column("noise"))
    rows = load(path, features, CHURN_TARGET)
    columns = choose_columns(features, rows, [])
    assert columns.crowded == ("shop",)
    task = dataclasses.replace(task_for(rows, settings=Settings(max_trials=2)), columns=columns)
    choice = search(task, rows, quiet)
    assert max(trial.score for trial in choice.trials if trial.state == "done") > 0.65
    pipeline = fit_pipeline(task, choice, rows, None)
    known = pipeline.predict_proba(rows.frame.assign(noise=0.0).drop_duplicates("shop"))[:, 1]
    truth = level[[int(name.split()[1]) for name in rows.frame.drop_duplicates("shop")["shop"]]]
    assert np.corrcoef(known, truth)[0, 1] > 0.7


def test_large_tables_are_looked_at_in_part_first() -> None:
    n = 60_000
    keys = np.arange(n, dtype=np.uint64)
    codes = (np.arange(n) % 10_000 == 0).astype(np.int64)  # six rows of the rare class
    rows = TrainingRows(pd.DataFrame({"x": np.zeros(n)}), codes, keys, "")
    folds = Folds.of(rows, codes, stratified=True)
    (split,) = folds.splits
    assert len(split.train) + len(split.valid) == n and not set(split.train) & set(split.valid)
    assert len(folds.look.train) == pytest.approx(12_000, rel=0.01) and folds.look.valid is split.valid
    assert codes[folds.look.train].sum() >= 2
    small = Folds.of(rows.take(np.arange(n) < 1000), codes[:1000], stratified=True)
    assert len(small.splits) == 5 and small.looks_at_fold
    # the first row, the only one of its class, is learned from in every fold
    assert np.array_equal(np.sort(np.concatenate([s.valid for s in small.splits])), np.arange(1, 1000))


def test_hopeless_is_what_is_worse_beyond_doubt() -> None:
    random = np.random.default_rng(0)
    best = random.exponential(size=1000)
    assert is_hopeless(best * 1.1, best, 0.03)
    assert not is_hopeless(best * 1.01, best, 0.03), "3 % are allowed"
    assert not is_hopeless(best + 10 * random.normal(size=1000) + 0.1, best, 0.03), "this may be luck"


def test_where_rows_shall_be_explained_auto_takes_only_what_can_be(rows: TrainingRows) -> None:
    task = task_for(rows, settings=Settings(max_trials=8), explain=True)
    said: list[str] = []
    choice = search(task, rows, lambda text, fields: said.append(text))
    assert EXPLAINED in said and not choice.members and "no blend" in choice.reason
    kinds = {trial.candidate.model_type for trial in choice.trials}
    assert kinds == {"linear_learner", "xgboost", "additive"}


def test_boosting_stops_before_the_function_that_explains_it_is_full(rows: TrainingRows) -> None:
    task = task_for(rows, model_types=("xgboost",), settings=Settings(max_trials=1), explain=True)
    encoded = EncodedRows(task, rows)
    (candidate,) = (found for found in portfolio(task, encoded.codes) if found.name == "xgboost r33")
    most = 3_000
    stop = functools.partial(StopAtSize, most=most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("postgres_ml.search.fold_fit.StopAtSize", stop)
        patch.setattr("postgres_ml.fit.fit.StopAtSize", stop)
        found = fit_split(task, candidate, encoded, encoded.folds.splits[0], Deadline(600))
        pipeline = fit_pipeline(task, Choice(candidate, n_trees=400), rows, Deadline(600))
    booster = pipeline[-1].estimator_.get_booster()
    assert 5 < booster.num_boosted_rounds() < 400 and found.n_rounds < 400
    program = parse_pipeline(pipeline, inputs_of(CHURN_COLUMNS), "text")
    explanation = explain(program, ("no", "yes"), rows.frame, pipeline.predict_proba)
    assert explanation is not None and explanation.exact is not None
    (explainer,) = explanation.exact.explainers.values()
    n_conditions = sum(paths.features.size for paths in explainer.paths)
    assert most / 2 < n_conditions <= most
