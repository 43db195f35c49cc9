"""How soon a search has something to publish, how good that is, and that it is published if time ends there."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from postgres_ml.contract.config import Settings
from postgres_ml.features.feature_columns import choose_columns
from postgres_ml.features.problem import resolve
from postgres_ml.fit.in_time import fit_to_evaluate
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.process.report import Report
from postgres_ml.search import search
from postgres_ml.search.encoded_rows import EncodedRows
from postgres_ml.search.fits import Found, Job, LocalFits
from postgres_ml.snapshot.rows import TrainingRows, load
from sklearn.datasets import make_classification, make_friedman1
from support.training import Recorder, column, make_spec, write_snapshot

N_COLUMNS, N_THREADS = 20, 2


def task_of(directory: Path, kind: str, n_rows: int, seconds: float) -> tuple[Task, TrainingRows]:
    """Return rows of 18 numbers, one of them with gaps, and two texts; time is the processor's."""
    random = np.random.default_rng(0)
    if kind == "regression":
        x, y = make_friedman1(n_rows, N_COLUMNS, noise=1.0, random_state=0)
        x = x[:, ::-1]  # what tells something are numbers, and no texts
        targets: list[Any] = y.tolist()
    else:
        n_classes = 2 if kind == "binary" else 5
        x, y = make_classification(
            n_rows,
            N_COLUMNS,
            n_informative=8,
            n_redundant=4,
            n_classes=n_classes,
            flip_y=0.05,
            random_state=0,
        )
        targets = ["abcde"[code] for code in y]
    given = []
    for row, target in zip(x, targets, strict=True):
        gap = None if random.random() < 0.05 else float(row[2])
        texts = f"t{int(np.clip(3 * row[0], -9, 9))}", f"s{int(np.clip(row[1], -2, 2))}"
        given.append((*texts, gap, *map(float, row[3:]), target))
    write_snapshot(directory / "snapshot.bin", given)
    features = (column("x0", "text"), column("x1", "text"), *(column(f"x{i}") for i in range(2, N_COLUMNS)))
    target = column("target", "double precision" if kind == "regression" else "text")
    rows = load(directory / "snapshot.bin", features, target)
    spec = make_spec()
    # of two cores, as alone on the machine: what runs beside the test changes nothing
    deadline = Deadline(seconds, lambda: time.process_time() / N_THREADS)
    problem = resolve(spec, target, rows.target, [])
    return Task(spec, problem, choose_columns(features, rows, []), N_THREADS, deadline, False), rows


def quiet(text: str, fields: dict[str, Any] | None) -> None:
    """Take progress and do nothing."""


class Noted(LocalFits):
    """Fits that note the candidates which they are given, each once."""

    def __init__(self, n_threads: int) -> None:
        super().__init__(n_threads)
        self.names: dict[str, str] = {}

    def run(
        self, encoded: EncodedRows, jobs: Sequence[Job], cut: Deadline, until: Callable[[], Deadline]
    ) -> list[Found]:
        self.names |= {job[0].name: job[0].model_type for job in jobs}
        return super().run(encoded, jobs, cut, until)


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_a_first_answer_near_the_final_one_comes_early(tmp_path: Path, kind: str) -> None:
    task, rows = task_of(tmp_path, kind, 2_000, 60)
    task = dataclasses.replace(task, spec=make_spec(settings=Settings(max_trials=7)))
    told: list[dict[str, Any]] = []
    noted = Noted(N_THREADS)
    choice = search(task, rows, lambda text, fields: told.append(fields or {}), noted)
    best = min(trial.first_loss for trial in choice.trials if trial.state == "done")
    good = [trial.first_s for trial in choice.trials if trial.first_loss <= 1.15 * best]
    assert min(good) < 5
    firsts = [name for name, model in noted.names.items() if model in ("xgboost", "mlp")][:2]
    assert set(firsts) == {"xgboost r89", "mlp quantile"}
    shown = [fields for fields in told if "loss" in fields]
    assert shown[0]["best"] == "linear model" and shown[-1]["loss"] <= shown[0]["loss"]
    for trial in choice.trials:
        assert trial.state == "failed" or 0 < trial.first_s <= trial.finished_s
        assert trial.row("f1", chosen=False)["first_loss"] == trial.first_loss


class Interrupted(LocalFits):
    """Fits of which only linear ones go on after the first fold."""

    def run(
        self, encoded: EncodedRows, jobs: Sequence[Job], cut: Deadline, until: Callable[[], Deadline]
    ) -> list[Found]:
        first = encoded.folds.look
        done = [job for job in jobs if job[1] is first or job[0].is_linear]
        given = dict(zip(map(id, done), super().run(encoded, done, cut, until), strict=True))
        return [given.get(id(job), "late") for job in jobs]


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_the_best_first_fold_is_published_where_time_ends_all_others(tmp_path: Path, kind: str) -> None:
    task, rows = task_of(tmp_path, kind, 1_000, 600)
    spec = make_spec(model_types=("linear_learner", "xgboost"), settings=Settings(max_trials=5))
    task = dataclasses.replace(task, spec=spec)
    choice = search(task, rows, quiet, Interrupted(N_THREADS))
    late = [trial for trial in choice.trials if trial.state == "late"]
    assert late and {trial.state for trial in choice.trials if trial.candidate.is_linear} == {"done"}
    assert "xgboost" in choice.candidate.name, "better than the linear ones on the same rows"
    best = min(trial.first_loss for trial in late)
    assert choice.loss is not None and choice.loss <= best * 1.001
    _, pipeline = fit_to_evaluate(task, choice, rows, Report(Recorder()))
    assert len(pipeline.predict(rows.frame.head())) == 5


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_the_best_first_fold_is_still_there_where_no_time_is_left_to_fit_it_again(
    tmp_path: Path, kind: str
) -> None:
    task, rows = task_of(tmp_path, kind, 1_000, 600)
    stalled = 0.0
    deadline = Deadline(600, lambda: time.process_time() / N_THREADS + stalled)

    class Stalled(Interrupted):
        """The machine stands still after the round in which time ends the others."""

        def run(self, *given: Any) -> list[Found]:
            nonlocal stalled
            found = super().run(*given)
            if "late" in found:
                stalled += max(deadline.left - 0.05, 0)
            return found

    spec = make_spec(model_types=("linear_learner", "xgboost"), settings=Settings(max_trials=2))
    task = dataclasses.replace(task, spec=spec, deadline=deadline)
    choice = search(task, rows, quiet, Stalled(N_THREADS))
    late = [trial for trial in choice.trials if trial.state == "late"]
    assert late and choice.candidate.name == late[0].candidate.name
    assert choice.fold_fits, "the fit of the first fold is kept"
    stalled += deadline.left
    chosen, pipeline = fit_to_evaluate(task, choice, rows, Report(Recorder()))
    assert chosen.candidate.name == choice.candidate.name
    booster = getattr(pipeline[-1], "estimator_", pipeline[-1]).get_booster()
    assert chosen.is_fold_fit and booster.num_boosted_rounds() > 50
