"""Trainings with little time: what is published is whole, and scores as it did in the search."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from postgres_ml.features.feature_columns import choose_columns
from postgres_ml.features.problem import resolve
from postgres_ml.fit.choice import Choice, KeptFit
from postgres_ml.fit.fit import fold_pipeline
from postgres_ml.fit.in_time import fit_to_evaluate, refit
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.lower import parse_pipeline
from postgres_ml.process.report import Report
from postgres_ml.program import interpret
from postgres_ml.publish.deployment import inputs_of
from postgres_ml.search import search
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.fold_fit import fit_split
from postgres_ml.search.portfolio import portfolio
from postgres_ml.snapshot.rows import TrainingRows, load
from support.training import Recorder, column, make_spec, write_snapshot


def quiet(text: str, fields: dict[str, Any] | None) -> None:
    """Take progress and do nothing."""


def task_of(directory: Path, kind: str, n_shops: int = 10) -> tuple[Task, TrainingRows]:
    """Return 600 rows of a number and two texts, one of them of n_shops values; and a target of the kind."""
    random = np.random.default_rng(0)
    given: list[tuple[Any, ...]] = []
    for _ in range(600):
        x, plan, shop = (
            float(random.normal()),
            str(random.choice(["a", "b"])),
            int(random.integers(0, n_shops)),
        )
        score = x + (plan == "a") + 2 * shop / n_shops + random.normal() / 4
        labels = {
            "regression": float(np.exp(score)),
            "binary": "ny"[score > 1],
            "classes": "pqrs"[int(score) % 4],
        }
        given.append((x, plan, f"shop {shop}", labels[kind]))
    write_snapshot(directory / "snapshot.bin", given)
    features = (column("x"), column("plan", "text"), column("shop", "text"))
    target = column("target", "double precision" if kind == "regression" else "text")
    rows = load(directory / "snapshot.bin", features, target)
    spec = make_spec()
    columns = choose_columns(features, rows, [])
    return Task(spec, resolve(spec, target, rows.target, []), columns, 2, Deadline(600), False), rows


@pytest.mark.parametrize("n_shops", [10, 100])
@pytest.mark.parametrize("kind", ["regression", "binary", "classes"])
def test_a_fold_s_fit_is_a_pipeline_like_any_other(tmp_path: Path, kind: str, n_shops: int) -> None:
    task, rows = task_of(tmp_path, kind, n_shops)
    encoded = EncodedRows(task, rows)
    wanted = ("linear scaled 1", "xgboost shallow", "mlp quantile", "xgboost shallow of the logarithm")
    candidates = [c for c in portfolio(task, encoded.codes) if c.name in wanted]
    split = encoded.folds.splits[0]
    kept, raws = [], []
    for candidate in candidates:
        if candidate.model_type == "mlp":
            candidate.parameters.update(hidden_layer_sizes=(8,), n_epochs=20)
        fitted = fit_split(task, candidate, encoded, split, Deadline(600))
        columns = encoded.columns(candidate.encoding)
        assert (columns is None) == bool(task.columns.crowded)
        kept.append(KeptFit(candidate, fitted.estimator, fitted.n_rows, columns, 1 / len(candidates)))
        raws.append(fitted.raw)
    assert len(kept) == (4 if kind == "regression" else 3) and all(
        fit.n_rows == len(split.train) for fit in kept
    )
    for fits, raw in [((fit,), raw) for fit, raw in zip(kept, raws, strict=True)] + [
        (tuple(kept), np.mean(raws, axis=0))
    ]:
        choice = Choice(fits[0].candidate, fold_fits=fits, is_fold_fit=True)
        pipeline = fold_pipeline(task, choice, rows)
        held = rows.frame.iloc[split.valid]
        found = pipeline.predict(held) if task.problem.is_regression else pipeline.predict_proba(held)
        if task.columns.crowded:  # the target's mean by text is that of all rows, and not of the fold's
            assert np.corrcoef(np.ravel(found), np.ravel(raw))[0, 1] > 0.9
        else:
            assert np.allclose(found, raw, rtol=1e-4, atol=1e-5)
        program = parse_pipeline(
            pipeline, inputs_of((column("x"), column("plan", "text"), column("shop", "text"))),
            "double precision" if task.problem.is_regression else "text",
        )  # fmt: skip
        predicted = interpret.predict(program, {name: held[name].tolist() for name in held})
        if task.problem.is_regression:
            assert np.allclose(np.array(predicted, float), pipeline.predict(held), rtol=1e-6)
        else:
            assert list(predicted) == list(pipeline.predict(held))


def test_fewer_rows_are_encoded_by_themselves_and_predict_the_same(tmp_path: Path) -> None:
    task, rows = task_of(tmp_path, "classes")
    encoded = EncodedRows(task, rows)
    folds = encoded.folds.fewer(1, 0.3, encoded.strata)
    some = encoded.only(folds)
    (split,), (given,) = some.folds.splits, folds.splits
    assert len(some.codes) == len(split.train) + len(split.valid) < len(rows) / 2
    for name in ("train", "valid"):
        there, here = getattr(given, name), getattr(split, name)
        assert np.array_equal(some.rows.frame["x"].to_numpy()[here], rows.frame["x"].to_numpy()[there])
        assert np.array_equal(some.codes[here], encoded.codes[there])
    assert some.folds.looks_at_fold


@pytest.mark.parametrize(("seconds", "is_cut"), [(0.02, True), (600, False)])
def test_a_fit_is_marked_where_time_ended_it_before_it_was_through(
    tmp_path: Path, seconds: float, is_cut: bool
) -> None:
    task, rows = task_of(tmp_path, "regression")
    encoded = EncodedRows(task, rows)
    ticks = itertools.count()
    for name in ("xgboost reg6", "mlp quantile", "linear scaled 1"):
        (candidate,) = (found for found in portfolio(task, encoded.codes) if found.name == name)
        until = Deadline(seconds, lambda: 0.002 * next(ticks))
        fitted = fit_split(task, candidate, encoded, encoded.folds.splits[0], until)
        assert fitted.is_cut == (is_cut and not candidate.is_linear)
        assert fitted.unit_s > 0


def test_a_fit_that_time_ends_is_not_published_where_a_fold_s_is_whole(tmp_path: Path) -> None:
    task, rows = task_of(tmp_path, "binary")
    choice = search(
        dataclasses.replace(
            task,
            spec=make_spec(
                model_types=("xgboost",), settings=dataclasses.replace(task.spec.settings, max_trials=1)
            ),
        ),
        rows,
        quiet,
    )
    assert choice.fold_fits and not choice.is_fold_fit and choice.row_share == 1
    late = dataclasses.replace(task, deadline=Deadline(-1))
    lines = Recorder()
    report = Report(lines)
    published, pipeline = fit_to_evaluate(late, choice, rows, report)
    assert published.is_fold_fit and "a fold's fit of it is published" in published.reason
    assert lines.lines[-1][0] == "warning" and "training rows; raise max_runtime" in lines.text
    assert pipeline[-1].estimator_ is choice.fold_fits[0].estimator
    assert pipeline[-1].estimator_.get_booster().num_boosted_rounds() > 10
    report.seconds["evaluate"] = 0.0
    assert refit(task, published, rows, report) is None


def test_the_final_fit_learns_from_the_choice_s_share_of_the_rows_and_says_so(tmp_path: Path) -> None:
    task, rows = task_of(tmp_path, "binary")
    encoded = EncodedRows(task, rows)
    (linear,) = [c for c in portfolio(task, encoded.codes) if c.name == "linear scaled 1"]
    lines = Recorder()
    fit_to_evaluate(task, Choice(linear, row_share=0.5), rows, Report(lines))
    assert lines.lines == [("warning", "max_runtime is short: the model learns from 300 of 600 rows")]


def test_many_classes_in_little_time_are_boosted_and_not_left_to_a_linear_model(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    centers = random.normal(size=(26, 8)) * 2
    codes = random.integers(0, 26, 1500)
    x = np.round(centers[codes] + random.normal(size=(1500, 8)), 1)
    x[:, 0] = np.abs(x[:, 0])
    write_snapshot(
        tmp_path / "s", [(*map(float, row), chr(97 + code)) for row, code in zip(x, codes, strict=True)]
    )
    features, target = tuple(column(f"x{i}") for i in range(8)), column("target", "text")
    rows = load(tmp_path / "s", features, target)
    seconds = 0.01  # of each look at the clock: there is one after each round
    now = [0.0]

    def clock() -> float:
        now[0] += seconds
        return now[0]

    spec = make_spec(model_types=("linear_learner", "xgboost"))
    task = Task(
        spec, resolve(spec, target, rows.target, []), choose_columns(features, rows, []), 1,
        Deadline(8.0, clock),
    )  # fmt: skip
    lines: list[str] = []
    choice = search(task, rows, lambda text, _: lines.append(text))
    assert "max_runtime is short for these rows: 1 fold instead of 5" in lines[0]
    boosted = [t for t in choice.trials if t.candidate.model_type == "xgboost" and t.state == "done"]
    assert boosted and not boosted[0].is_cut and boosted[0].n_trees > 20
    _, pipeline = fit_to_evaluate(task, choice, rows, Report(Recorder()))
    assert task.deadline.left > -0.1 and len(pipeline.classes_) == 26


def test_all_rows_are_not_fitted_where_that_takes_the_time_of_the_functions(tmp_path: Path) -> None:
    task, rows = task_of(tmp_path, "regression")
    lines = Recorder()
    report = Report(lines, seconds={"evaluate": 0.1})
    (linear,) = [c for c in portfolio(task, EncodedRows(task, rows).codes) if c.name == "linear scaled 1"]
    assert refit(task, Choice(linear, lower_s=10 * task.deadline.seconds), rows, report) is None
    assert "leaves no time to fit again" in lines.text
    assert refit(task, Choice(linear), rows, report) is not None
