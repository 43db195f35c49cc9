"""A network on the other candidates' scores: when it is tried, what it gains, and that functions compute it."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import Settings
from postgres_ml.features.feature_columns import choose_columns
from postgres_ml.features.problem import resolve
from postgres_ml.fit.candidates import Member
from postgres_ml.fit.choice import Choice
from postgres_ml.fit.fit import fit_pipeline, fold_pipeline
from postgres_ml.fit.in_time import fit_to_evaluate
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.fit.trial import Trial
from postgres_ml.lower import parse_pipeline
from postgres_ml.process.report import Report
from postgres_ml.program import interpret
from postgres_ml.publish.deployment import inputs_of
from postgres_ml.search import search
from postgres_ml.search.budget import Budget
from postgres_ml.search.choice import blended, decide
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.ensemble import greedy
from postgres_ml.search.fits import LocalFits
from postgres_ml.search.portfolio import portfolio
from postgres_ml.search.runner import Runner
from postgres_ml.search.stacking import try_stacked
from postgres_ml.snapshot.rows import TrainingRows, load
from postgres_ml.track.run_record import mlflow_name
from sklearn.metrics import mean_squared_error
from support.training import Recorder, column, make_spec, write_snapshot

pytestmark = pytest.mark.xdist_group("stacked")  # one process makes the trials that they share
MINUTES = ("day", "eve", "night", "abroad")
PRICES = np.array([0.17, 0.085, 0.045, 0.27])
OTHERS = tuple(f"other{number}" for number in range(8))
FEATURES = (*(column(name) for name in (*MINUTES, "calls", *OTHERS)), column("plan", "text"))
LOSS = column("loss")
REASON = column("loss", "text")


def customers(n_rows: int, seed: int) -> list[tuple[Any, ...]]:
    """Return customers, of whom more is lost when a sum of four columns is high, but for some, or by calls.

    Boosted trees find the conditions and not the sum, networks the sum and not the conditions.
    """
    random = np.random.default_rng(seed)
    minutes = random.normal([180, 200, 200, 40], [54, 50, 50, 20], (n_rows, 4)).clip(0)
    calls, has_plan = random.poisson(1.5, n_rows), random.random(n_rows) < 0.27
    bill = minutes @ PRICES
    lost = np.where((bill > 70) & ~has_plan, 30, np.where((calls >= 3) & (bill < 65), 20, bill / 10))
    numbers = np.column_stack([minutes, calls, random.normal(size=(n_rows, len(OTHERS)))])
    lost = lost + 4 * random.normal(size=n_rows)
    return [
        (*map(float, row), "yes" if plan else "no", float(value))
        for row, plan, value in zip(numbers, has_plan, lost, strict=True)
    ]


def rows_of(directory: Path, given: list[tuple[Any, ...]], target: Column = LOSS) -> TrainingRows:
    write_snapshot(directory / "snapshot.bin", given)
    return load(directory / "snapshot.bin", FEATURES, target)


def task_of(rows: TrainingRows, target: Column = LOSS, *, is_sql: bool = False, **changes: Any) -> Task:
    spec = make_spec(target="loss", **changes)
    columns = choose_columns(FEATURES, rows, [])
    return Task(spec, resolve(spec, target, rows.target, []), columns, 2, Deadline(600), is_sql)


def tried(task: Task, rows: TrainingRows) -> Runner:
    """Return a runner with the trials of the portfolio's first candidates."""
    encoded = EncodedRows(task, rows)
    budget = Budget(task, len(encoded.folds.splits), len(rows) / len(encoded.folds.splits[0].train))
    runner = Runner(task, encoded, budget, LocalFits(2))
    runner.run(portfolio(task, encoded.codes)[:4])
    return runner


def said() -> tuple[list[str], Any]:
    lines: list[str] = []
    return lines, lambda text, fields: lines.append(text)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> TrainingRows:
    return rows_of(tmp_path_factory.mktemp("rows"), customers(2_000, 0))


@pytest.fixture(scope="module")
def stacked(rows: TrainingRows) -> tuple[Task, Runner, list[str]]:
    task = task_of(rows)
    runner = tried(task, rows)
    lines, tell = said()
    assert try_stacked(task, runner, tell)
    return task, runner, lines


def stack_of(runner: Runner) -> Trial:
    """Return the one stack that is left."""
    (found,) = [trial for trial in runner.done if trial.candidate.below]
    return found


def others_of(runner: Runner) -> list[Trial]:
    return [trial for trial in runner.done if not trial.candidate.below]


def choice_of(task: Task, runner: Runner) -> Choice:
    return decide(task, runner.publishable(), runner.budget.rows_for, runner.kept)


def test_it_predicts_other_rows_better_than_the_blend_without_it(
    stacked: tuple[Task, Runner, list[str]], rows: TrainingRows, tmp_path: Path
) -> None:
    task, runner, _ = stacked
    other = rows_of(tmp_path, customers(3_000, 1))
    losses = []
    for trials in (others_of(runner), runner.done):
        choice = decide(task, trials, runner.budget.rows_for, runner.kept)
        pipeline = fit_pipeline(task, choice, rows, None)
        losses.append(mean_squared_error(other.target, pipeline.predict(other.frame)))
    assert losses[1] < 0.97 * losses[0], losses


def test_it_is_told(stacked: tuple[Task, Runner, list[str]]) -> None:
    task, runner, lines = stacked
    trial = stack_of(runner)
    n = len(trial.candidate.below)
    assert len(lines) == 2, "with the scores of a forest, and without"
    (line,) = [line for line in lines if f"scores of {n} others" in line]
    assert mlflow_name(trial.candidate.name) == trial.candidate.name, (
        "a blend's parameters are named after it"
    )
    assert line.startswith(f"neural network on the scores of {n} others, 128 x 128: mse 2")
    assert "; the best with it 2" in line and ", without it 2" in line
    assert trial.row("mse", chosen=True)["scores_of"].count(",") == n - 1
    without = blended(task, greedy(task, others_of(runner)))
    assert blended(task, greedy(task, runner.done)).loss < without.loss


def test_its_scores_are_those_of_trials_on_other_rows(stacked: tuple[Task, Runner, list[str]]) -> None:
    _, runner, _ = stacked
    candidate = runner.trials[-1].candidate  # the last one is tried with the forest
    scores = runner.encoded.scores[candidate.name]
    names = [one.candidate.name for one in candidate.below]
    trials = {trial.candidate.name: trial for trial in runner.trials}
    for name, column_ in zip(names, scores.T, strict=True):
        raw = trials[name].raw.astype(float)
        np.testing.assert_allclose(column_, (raw - raw.mean()) / raw.std(), rtol=1e-9)
    kinds = {one.candidate.model_type for one in candidate.below}
    assert kinds >= {"xgboost", "mlp", "linear_learner", "extra_trees"}


def test_trees_that_nobody_asked_for_are_not_below(rows: TrainingRows) -> None:
    task = task_of(rows, model_types=("mlp", "xgboost", "linear_learner"))
    runner = tried(task, rows)
    assert try_stacked(task, runner, said()[1])
    assert "extra_trees" not in {one.candidate.model_type for one in stack_of(runner).candidate.below}
    assert "extra_trees" not in {trial.candidate.model_type for trial in runner.trials}


def test_no_fit_of_a_fold_stands_for_it(stacked: tuple[Task, Runner, list[str]]) -> None:
    _, runner, _ = stacked
    assert not {trial.candidate.name for trial in runner.trials if trial.candidate.below} & set(runner.kept)


def lowered(pipeline: Any, return_type: str) -> tuple[Any, Any]:
    """Return the pipeline after a pickle, with no clock of this process in it, and its program."""
    pickled = pickle.loads(pickle.dumps(pipeline))
    return pickled, parse_pipeline(pickled, inputs_of(FEATURES), return_type)


def test_a_function_computes_what_the_blend_predicts(
    stacked: tuple[Task, Runner, list[str]], rows: TrainingRows
) -> None:
    task, runner, _ = stacked
    pipeline, program = lowered(
        fit_pipeline(task, choice_of(task, runner), rows, Deadline(600)), LOSS.sql_type
    )
    frame = rows.frame.head(300)
    found = interpret.predict(program, {name: frame[name].tolist() for name in frame})
    np.testing.assert_allclose(np.array(found, float), pipeline.predict(frame), rtol=1e-9)


def test_without_time_for_it_the_best_without_it_is_published(
    stacked: tuple[Task, Runner, list[str]], rows: TrainingRows
) -> None:
    task, runner, _ = stacked
    instead = decide(task, others_of(runner), runner.budget.rows_for, runner.kept)
    choice = dataclasses.replace(choice_of(task, runner), instead=instead)
    assert not choice.fold_fits and instead.fold_fits
    late = dataclasses.replace(task, deadline=Deadline(0.2))
    told = Recorder()
    published, pipeline = fit_to_evaluate(late, choice, rows, Report(told))
    assert published.is_fold_fit and published.candidate == instead.candidate
    assert f"no time to fit {instead.candidate.shown} again" in told.text
    expected = fold_pipeline(task, instead, rows).predict(rows.frame)
    np.testing.assert_array_equal(pipeline.predict(rows.frame), expected)


def test_a_search_ends_with_it(rows: TrainingRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postgres_ml.search.budget.PATIENCE", 1)
    task = task_of(rows)
    lines, tell = said()
    choice = search(task, rows, tell)
    assert any(" on the scores of " in line for line in lines)
    stacks = [trial for trial in choice.trials if trial.candidate.below]
    assert len(stacks) == 2 and not any(len(trial.raw) for trial in choice.trials)
    is_chosen = any(member.candidate.below for member in choice.members) or bool(choice.candidate.below)
    assert is_chosen == (choice.instead is not None and bool(choice.instead.fold_fits))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_function_computes_the_probabilities_of_a_stack(n_classes: int, tmp_path: Path) -> None:
    given = [(*row[:-1], "abc"[min(int(row[-1] > 12) + int(row[-1] > 25), n_classes - 1)])
             for row in customers(1_000, 0)]  # fmt: skip
    rows = rows_of(tmp_path, given, REASON)
    task = task_of(rows, REASON)
    linear, trees, network = portfolio(task, task.problem.encode(rows.target))[:3]
    below = Member(linear), Member(trees, 20), Member(network, 3)
    candidate = dataclasses.replace(network, name="stack", below=below)
    pipeline, program = lowered(fit_pipeline(task, Choice(candidate, 3), rows, Deadline(600)), "text")
    assert pipeline.classes_.tolist() == list("abc"[:n_classes])
    frame = rows.frame.head(300)
    found = interpret.predict_probabilities(program, {name: frame[name].tolist() for name in frame})
    np.testing.assert_allclose(found, pipeline.predict_proba(frame), rtol=0, atol=1e-9)


def test_workers_get_its_scores(stacked: tuple[Task, Runner, list[str]]) -> None:
    _, runner, _ = stacked
    candidate, split = runner.trials[-1].candidate, runner.encoded.folds.splits[1]
    sent = pickle.loads(pickle.dumps(runner.encoded))
    for part, expected in zip(
        sent.pair_of(candidate, split), runner.encoded.pair_of(candidate, split), strict=True
    ):
        np.testing.assert_array_equal(part, expected)


def test_what_is_not_better_beyond_noise_is_left_out(tmp_path: Path) -> None:
    """A line is found by a linear model: what is left is noise, of which the scores tell nothing."""
    random = np.random.default_rng(1)
    numbers = random.normal(size=(1_200, 5 + len(OTHERS)))
    values = numbers @ [1, 0.5, *[0] * (3 + len(OTHERS))] + random.normal(size=1_200)
    given = [
        (*map(float, row), "ab"[random.integers(2)], float(value))
        for row, value in zip(numbers, values, strict=True)
    ]
    rows = rows_of(tmp_path, given)
    task = task_of(rows)
    runner = tried(task, rows)
    lines, tell = said()
    assert not try_stacked(task, runner, tell)
    assert {trial.state for trial in runner.trials if trial.candidate.below} == {"pruned"}
    assert all("within noise, so it is left out" in line for line in lines)


@pytest.mark.parametrize(
    "changes",
    [
        {"is_sql": True},
        {"explain": True},
        {"model_types": ("xgboost", "linear_learner")},
        {"settings": Settings(max_trials=4)},
    ],
    ids=["sql", "explain", "no networks", "max_trials"],
)
def test_it_is_not_tried(
    stacked: tuple[Task, Runner, list[str]], rows: TrainingRows, changes: dict[str, Any]
) -> None:
    _, runner, _ = stacked
    n_trials = len(runner.trials)
    assert not try_stacked(task_of(rows, **changes), runner, said()[1])
    assert len(runner.trials) == n_trials


@pytest.mark.parametrize("given", ["weights", "few rows", "little time"])
def test_it_is_not_tried_with(
    given: str,
    stacked: tuple[Task, Runner, list[str]],
    rows: TrainingRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task, runner, _ = stacked
    if given == "little time":
        monkeypatch.setattr(runner.budget, "task", dataclasses.replace(task, deadline=Deadline(0.5)))
    else:
        weighted = dataclasses.replace(rows, weight=np.linspace(0.5, 1.5, len(rows)))
        some = weighted if given == "weights" else rows.take(np.arange(len(rows)) < 800)
        monkeypatch.setattr(runner, "encoded", EncodedRows(task, some))
    n_trials = len(runner.trials)
    assert not try_stacked(task, runner, said()[1]) and len(runner.trials) == n_trials
