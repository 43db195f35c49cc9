"""AUTO with additive models, and what it publishes where the function will be SQL."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from postgres_ml.contract.config import Settings
from postgres_ml.features.feature_columns import choose_columns
from postgres_ml.features.problem import resolve
from postgres_ml.fit.candidates import Member
from postgres_ml.fit.choice import Choice, KeptFit
from postgres_ml.fit.fit import fit_pipeline, fold_pipeline
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.generate import generate_sql
from postgres_ml.lower import parse_pipeline
from postgres_ml.program import interpret
from postgres_ml.publish.deployment import inputs_of
from postgres_ml.publish.scorecard import scorecard
from postgres_ml.search import EXPLAINED, search
from postgres_ml.search.budget import Budget
from postgres_ml.search.choice import best_of
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.fits import LocalFits
from postgres_ml.search.fold_fit import fit_split
from postgres_ml.search.portfolio import portfolio
from postgres_ml.search.probe import prepare
from postgres_ml.search.runner import Runner
from postgres_ml.search.sql_choice import microseconds
from postgres_ml.snapshot.rows import TrainingRows, load
from support.training import column, make_spec, write_snapshot

N_ROWS = 500
FEATURES = (column("x"), column("y"), column("z"), column("plan", "text"))
Fields = dict[str, Any] | None


@pytest.fixture(autouse=True)
def few_bags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit tables in a fifth of the time."""
    portfolios = importlib.import_module("postgres_ml.search.portfolio")
    few = {"learning_rate": 0.2, "max_leaves": 3, "interactions": 2, "outer_bags": 2}
    monkeypatch.setattr(portfolios, "ADDITIVE", few)


def quiet(text: str, fields: Fields) -> None:
    """Take progress and do nothing."""


def task_of(
    folder: Path, kind: str, *, has_interactions: bool = False, n_plans: int = 3, **config: Any
) -> tuple[Task, TrainingRows]:
    """Return rows whose score is a sum of functions of one column each, or one of three columns together."""
    random = np.random.default_rng(0)
    numbers = random.normal(size=(N_ROWS, 3))
    plans = random.integers(0, n_plans, N_ROWS)
    score = np.sin(2 * numbers[:, 0]) + np.abs(numbers[:, 1]) + (numbers[:, 2] > 0.3) - 0.8
    if has_interactions:
        score = 4.0 * (numbers > 0).all(axis=1)
    score = score + (plans == 0) + random.logistic(size=N_ROWS) / 3
    labels: dict[str, Any] = {
        "regression": score.tolist(),
        "binary": np.where(score > 0.4, "yes", "no").tolist(),
        "classes": np.array(["a", "b", "c"])[np.clip(score.round().astype(int), 0, 2)].tolist(),
    }
    given = [
        (*map(float, row), f"plan {plan}", label)
        for row, plan, label in zip(numbers, plans, labels[kind], strict=True)
    ]
    write_snapshot(folder / "snapshot.bin", given)
    target = column("label", "double precision" if kind == "regression" else "text")
    rows = load(folder / "snapshot.bin", FEATURES, target)
    spec = make_spec("label", runtime="sql", **config)
    return Task(
        spec, resolve(spec, target, rows.target, []), choose_columns(FEATURES, rows, []), 1, Deadline(600)
    ), rows


def program_of(task: Task, pipeline: Any) -> Any:
    returns = "double precision" if task.problem.is_regression else "text"
    return parse_pipeline(pipeline, inputs_of(FEATURES), returns)


def check_parity(task: Task, pipeline: Any, rows: TrainingRows) -> Any:
    """Check the program against the pipeline's own predictions, and return it."""
    program = program_of(task, pipeline)
    found = interpret.predict(program, {name: rows.frame[name].tolist() for name in rows.frame})
    if task.problem.is_regression:
        assert np.allclose(np.array(found, float), pipeline.predict(rows.frame), rtol=1e-6, atol=1e-9)
    else:
        assert list(found) == list(pipeline.predict(rows.frame))
    return program


@pytest.mark.parametrize("kind", ["regression", "binary", "classes"])
def test_what_adds_up_is_published_as_tables(tmp_path: Path, kind: str) -> None:
    task, rows = task_of(tmp_path, kind, settings=Settings(max_trials=4))
    lines: list[str] = []
    choice = search(task, rows, lambda text, _: lines.append(text))
    best = best_of(dataclasses.replace(task, is_sql=False), _done(task, rows))[0]
    assert choice.candidate.shown == "additive tables" and choice.loss is not None
    assert choice.loss <= best.loss * (1 + task.spec.settings.sql_tolerance)
    assert not [text for text in lines if "not the best so far" in text]
    program = check_parity(task, fit_pipeline(task, choice, rows, None), rows)
    assert scorecard(program, task.problem.labels, rows.frame) is not None


def _done(task: Task, rows: TrainingRows) -> list[Any]:
    """Return the trials with what they predicted, which a search's result is without."""
    encoded = EncodedRows(task, rows)
    candidates = portfolio(task, encoded.codes)[: task.spec.settings.max_trials]
    with closing(LocalFits(1)) as fits:
        runner = Runner(task, encoded, Budget(task, len(encoded.folds.splits), 1.25), fits)
        runner.run(candidates)
    return runner.done


def test_what_acts_together_is_published_as_trees(tmp_path: Path) -> None:
    task, rows = task_of(tmp_path, "regression", has_interactions=True, settings=Settings(max_trials=4))
    choice = search(task, rows, quiet)
    parts = choice.members or (Member(choice.candidate),)
    assert "xgboost" in {part.candidate.model_type for part in parts}
    (tables,) = (trial for trial in choice.trials if trial.candidate.model_type == "additive")
    assert choice.loss is not None and not tables.loss <= choice.loss * 1.015
    check_parity(task, fit_pipeline(task, choice, rows, None), rows)


def test_how_much_is_given_up_follows_the_setting(tmp_path: Path) -> None:
    task, rows = task_of(tmp_path, "regression", settings=Settings(max_trials=5))

    def chosen(tolerance: float) -> Choice:
        settings = dataclasses.replace(task.spec.settings, sql_tolerance=tolerance)
        return search(
            dataclasses.replace(task, spec=dataclasses.replace(task.spec, settings=settings)), rows, quiet
        )

    strict, generous = chosen(0.0), chosen(0.5)
    assert generous.candidate.model_type in ("additive", "linear_learner")
    assert strict.loss is not None and generous.loss is not None and strict.loss <= generous.loss


@pytest.mark.parametrize("kind", ["regression", "binary", "classes"])
def test_tables_may_be_in_a_blend_which_has_no_scorecard(tmp_path: Path, kind: str) -> None:
    task, rows = task_of(tmp_path, kind)
    candidates = {item.name: item for item in portfolio(task, EncodedRows(task, rows).codes)}
    members = (Member(candidates["additive"], None, 0.6), Member(candidates["xgboost small"], 10, 0.4))
    choice = Choice(dataclasses.replace(candidates["additive"], model_type="ensemble"), members=members)
    pipeline = fit_pipeline(task, choice, rows, task.deadline)
    inside = pipeline[-1] if task.problem.is_regression else pipeline[-1].estimator_
    assert inside.estimators_[0][-1].is_late is None, "it would be pickled"
    program = check_parity(task, pipeline, rows)
    assert scorecard(program, task.problem.labels, rows.frame) is None


@pytest.mark.parametrize("n_plans", [3, 100])
@pytest.mark.parametrize("kind", ["regression", "binary", "classes"])
def test_a_fold_s_fit_is_a_pipeline_like_any_other(tmp_path: Path, kind: str, n_plans: int) -> None:
    task, rows = task_of(tmp_path, kind, n_plans=n_plans)
    assert bool(task.columns.crowded) == (n_plans == 100)
    encoded = EncodedRows(task, rows)
    (candidate,) = (item for item in portfolio(task, encoded.codes) if item.name == "additive")
    split = encoded.folds.splits[0]
    fitted = fit_split(task, candidate, encoded, split, Deadline(600))
    columns = encoded.columns(candidate.encoding)
    assert columns is not None and not fitted.is_cut and fitted.estimator.is_late is None
    kept = KeptFit(candidate, fitted.estimator, fitted.n_rows, columns)
    pipeline = fold_pipeline(task, Choice(candidate, fold_fits=(kept,), is_fold_fit=True), rows)
    held = rows.frame.iloc[split.valid]
    found = pipeline.predict(held) if task.problem.is_regression else pipeline.predict_proba(held)
    assert np.array_equal(np.float32(found), fitted.raw), "in double precision, as the function computes"
    check_parity(task, pipeline, rows)


def test_a_fit_that_time_ends_is_no_trial(tmp_path: Path) -> None:
    task, rows = task_of(tmp_path, "binary")
    encoded = EncodedRows(task, rows)
    (candidate,) = (item for item in portfolio(task, encoded.codes) if item.name == "additive")
    ticks = itertools.count()
    until = Deadline(0.02, lambda: 0.002 * next(ticks))
    assert fit_split(task, candidate, encoded, encoded.folds.splits[0], until).is_cut
    seconds = itertools.count()
    late = dataclasses.replace(task, deadline=Deadline(1, lambda: 0.002 * next(seconds)))
    with closing(LocalFits(1)) as fits:
        runner = Runner(late, encoded, Budget(late, len(encoded.folds.splits), 1.25), fits)
        (trial,) = runner.run([candidate])
    assert trial.state == "late" and not runner.done


def test_what_a_fit_takes_is_measured_before_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, rows = task_of(tmp_path, "binary")
    encoded = EncodedRows(task, rows)
    ticks = itertools.count()

    def clock() -> float:
        return 0.002 * next(ticks)

    monkeypatch.setattr(time, "thread_time", clock)  # the processor's goes on as the other does
    task = dataclasses.replace(task, deadline=Deadline(600, clock))
    candidates = portfolio(task, encoded.codes)
    budget = Budget(task, len(encoded.folds.splits), 1.25)
    prepare(task, encoded, budget, candidates, quiet)
    (tables,) = (item for item in candidates if item.name == "additive")
    # a round is a look at the clock: 150 for each of two bags, of columns and of pairs, twice as a margin
    assert 2 * 2 * 150 * 0.002 < budget.expected_s(tables) < 2 * 4 * 150 * 0.002 * 3


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_auto_searches_for_the_best_tables_where_they_are_all_that_is_wanted(
    tmp_path: Path, kind: str
) -> None:
    task, rows = task_of(tmp_path, kind, model_types=("additive",), settings=Settings(max_trials=3))
    choice = search(dataclasses.replace(task, is_sql=False), rows, quiet)
    names = [trial.candidate.name for trial in choice.trials]
    assert names == ["additive", "additive search 1", "additive search 2"]
    assert len({str(trial.candidate.parameters) for trial in choice.trials}) == 3


def test_tables_can_be_explained(tmp_path: Path) -> None:
    task, rows = task_of(tmp_path, "binary", explain=True, settings=Settings(max_trials=3))
    said: list[str] = []
    choice = search(task, rows, lambda text, fields: said.append(text))
    assert EXPLAINED in said and choice.candidate.model_type == "additive" and not choice.members


def test_the_estimate_before_the_fit_is_near_that_of_the_function(tmp_path: Path) -> None:
    task, rows = task_of(tmp_path, "binary", settings=Settings(max_trials=5))
    for trial in _done(task, rows):
        choice = Choice(trial.candidate, trial.n_trees or None)
        program = program_of(task, fit_pipeline(task, choice, rows, None))
        generated = generate_sql(program, "s", "f")
        ratio = microseconds(task, [(trial, 1.0)]) * generated.est_rows_per_s / 1e6
        assert 0.4 < ratio < 2.5, trial.candidate.name
