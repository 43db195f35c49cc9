"""The best that the search saw is what is published, however little time is left for another fit of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from postgres_ml.features.feature_columns import FeatureColumns
from postgres_ml.features.problem import Problem
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.choice import KeptFit
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.fit.trial import Trial
from postgres_ml.search.choice import ALIKE, REFIT_GAIN, best_of, decide, publishable
from postgres_ml.search.progress import Progress
from support.training import make_spec

TRUTH = np.arange(1000) % 2


def task(is_regression: bool = False) -> Task:
    classes = np.array([] if is_regression else ["no", "yes"], dtype=object)
    kind, metric = ("regression", "mse") if is_regression else ("binary_classification", "accuracy")
    problem = Problem(kind, metric, metric, classes)  # type: ignore[arg-type]
    return Task(make_spec(), problem, FeatureColumns(("x",), ()), 2, Deadline(60, lambda: 0.0), False)


def trial(name: str, spread: float, seed: int = 0, **more: Any) -> Trial:
    noise = np.random.default_rng(seed).normal(scale=spread, size=len(TRUTH))
    positive = 1 / (1 + np.exp(-np.where(TRUTH == 1, 1.0, -1.0) - noise))
    raw = np.column_stack([1 - positive, positive])
    loss = float(-np.mean(np.log(raw[np.arange(len(TRUTH)), TRUTH])))
    accuracy = float(np.mean((positive >= 0.5) == TRUTH))
    return Trial(Candidate(name, "xgboost", title=name), accuracy, loss, 10, 10, 0.5, 1.0, TRUTH, raw, **more)


def kept(*trials: Trial) -> dict[str, KeptFit]:
    return {t.candidate.name: KeptFit(t.candidate, f"estimator of {t.candidate.name}", 800) for t in trials}


def no_time_for(*names: str) -> Any:
    return lambda members, **_: None if any(t.candidate.name in names for t, _ in members) else 1.0


def test_a_fold_s_fit_of_the_best_is_published_and_not_another_fit_of_a_worse_one() -> None:
    best, poor = trial("best", 0.5), trial("poor", 6.0, 1)
    choice = decide(task(), [poor, best], no_time_for("best"), kept(best, poor))
    assert choice.candidate.name == "best" and choice.is_fold_fit and choice.loss == best.loss
    assert [(fit.estimator, fit.weight) for fit in choice.fold_fits] == [("estimator of best", 1.0)]
    assert "a fold's fit of it is published" in choice.reason


def test_what_is_nearly_as_good_and_can_be_fitted_again_is() -> None:
    best = trial("best", 0.5)
    near = trial("near", 0.5, seed=0)
    near.raw[:, 1] = np.clip(near.raw[:, 1] - np.where(TRUTH == 1, 0.002, -0.002), 0.01, 0.99)
    near.raw[:, 0] = 1 - near.raw[:, 1]
    near = Trial(
        near.candidate, near.score, best.loss * (1 + REFIT_GAIN / 2), 10, 500, 0.5, 1.0, TRUTH, near.raw
    )
    choice = decide(task(), [best, near], no_time_for("best"), kept(best, near))
    assert choice.candidate.name == "near" and not choice.is_fold_fit
    assert f"{best.loss:.4g}" in choice.reason and "no time to fit best" in choice.reason


def test_a_refit_of_what_is_as_good_comes_before_the_best_without_one() -> None:
    """A fit on all rows gains 1 to 3 % over one on the training rows: more than is given up."""
    best = trial("best", 0.5)

    def without_refit(names: tuple[str, ...]) -> Any:
        def rows_for(members: Any, *, with_refit: bool = False) -> float | None:
            return None if with_refit and members[0][0].candidate.name in names else 1.0

        return rows_for

    for share, is_taken in ((ALIKE / 2, True), (2 * ALIKE, False)):
        near = dataclasses.replace(
            best, candidate=Candidate("near", "xgboost", title="near"), loss=best.loss * (1 + share)
        )
        choice = decide(task(), [best, near], without_refit(("best",)), kept(best, near))
        assert choice.candidate.name == ("near" if is_taken else "best") and not choice.is_fold_fit
        assert ("no time to fit best" in choice.reason) is is_taken
    nothing = decide(task(), [best, near], without_refit(("best", "near")), kept(best, near))
    assert nothing.candidate.name == "best" and not nothing.is_fold_fit


def test_a_blend_without_time_is_published_with_all_of_its_members() -> None:
    members = [trial("one", 1.5, 1), trial("other", 1.5, 2)]
    choice = decide(task(), members, lambda members, **_: None, kept(*members))
    assert choice.is_fold_fit and {fit.candidate.name for fit in choice.fold_fits} == {"one", "other"}
    assert sum(fit.weight for fit in choice.fold_fits) == pytest.approx(1)
    assert choice.candidate.model_type == "ensemble"


def test_fewer_rows_go_on_to_the_final_fit() -> None:
    best = trial("best", 0.5)
    choice = decide(task(), [best], lambda members, **_: 0.3, kept(best))
    assert (choice.row_share, choice.is_fold_fit, choice.loss) == (0.3, False, best.loss)


def test_without_a_kept_fit_the_best_that_there_is_time_for_is_fitted() -> None:
    best, poor = trial("best", 0.5), trial("poor", 6.0, 1)
    assert decide(task(), [poor, best], no_time_for("best")).candidate.name == "poor"
    assert decide(task(), [poor, best], lambda members, **_: None).candidate.name == "best"


def test_a_candidate_that_time_cut_short_is_said_to_be_one() -> None:
    cut = trial("best", 0.5, is_cut=True, note="time ended it after 2 rounds")
    assert "time ended it after 2 rounds" in decide(task(), [cut], lambda members, **_: 1.0).reason
    assert cut.row("accuracy", chosen=True)["cut_short"] is True


def test_the_fits_of_whatever_may_be_published_are_kept() -> None:
    trials = [trial(str(seed), 0.5 + seed, seed) for seed in range(12)]
    names = {found.candidate.name for found in publishable(task(), trials, [(trials[10], 1.0)])}
    assert {"0", "1", "2", "3", "10"} <= names and len(names) <= 9
    assert best_of(task(), trials)[0].candidate.name == "0"


@pytest.mark.parametrize("is_worse", [True, False])
def test_what_was_called_best_and_is_not_published_is_a_warning_with_both_scores(is_worse: bool) -> None:
    best, poor = trial("best", 0.5), trial("poor", 6.0, 1)
    lines: list[tuple[str, dict[str, Any] | None]] = []
    progress = Progress(task(), lambda text, fields: lines.append((text, fields)))
    progress.show([best, poor], lambda: best, 12.0)
    assert lines[0][1] is not None and lines[0][1]["best"] == best.candidate.shown
    names = no_time_for("best") if is_worse else no_time_for()
    progress.compare(decide(task(), [best, poor], names))
    assert len(lines) == (2 if is_worse else 1)
    if is_worse:
        text, fields = lines[1]
        for told in (best, poor):
            assert f"{told.candidate.shown}, log_loss {told.loss:.4g}" in text
        assert fields == {"level": "warning"} and "max_runtime leaves no time" in text
