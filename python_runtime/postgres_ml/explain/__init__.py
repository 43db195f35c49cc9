"""What a fitted model's predictions depend on: Shapley values of the query's columns.

Input: the scoring program, rows, and the pipeline's own prediction where the program is no sum.
Output: `Explanation`.
Exact for trees (path-dependent TreeSHAP), linear and additive models, sampled for the rest.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from postgres_ml.explain.sampled import MAX_PREDICTIONS, sampled_shap_values
from postgres_ml.explain.tables import TableExplainer
from postgres_ml.explain.terms import PROBABILITY, TARGET, Sums, Terms
from postgres_ml.explain.trees import Explainer
from postgres_ml.program import interpret
from postgres_ml.program.program import Program
from postgres_ml.program.scorers import TableSum, Tree, TreeEnsemble

Floats = npt.NDArray[np.float64]
Method = Literal["tree_shap", "linear_shap", "additive_shap", "permutation_shap"]
MAX_ROWS = 500
MIN_ROWS = 30
SAMPLED_ROWS = 200
BACKGROUND_ROWS = 5_000
BACKGROUND_VISITS = 1_000_000  # rows times trees
MAX_COST = 200_000_000  # multiplications
VALUES_S = 2.0  # for exact values: where the first rows are slow, fewer are explained
PREPARING_SHARE = 0.6  # of the time, which an ensemble may take to be prepared
SAMPLED_TREES = 40  # of an ensemble of five times as many or more, to estimate its time
MIN_SAMPLED_ROWS = 10
TIMED_ROWS = 100


@dataclass(frozen=True)
class Explanation:
    """Shapley values of a sample of rows, one set for each label, or one for two classes and a regression.

    Parameters
    ----------
    method : permutation_shap is sampled, the others are exact
    unit : of the values
    labels : what each set explains, as text; '' for a regression
    names : columns, in the query's order
    values : of shape (n_sets, n_rows, n_names)
    expected : of shape (n_sets,), the mean score of the background rows
    exact : from which other rows can be explained; None where values are sampled
    """

    method: Method
    unit: str
    labels: tuple[str, ...]
    names: tuple[str, ...]
    values: Floats
    expected: Floats
    exact: ExactScores | None = None

    @property
    def global_values(self) -> Floats:
        """Mean absolute value of each column, of shape (n_sets, n_names)."""
        mean: Floats = np.abs(self.values).mean(axis=1)
        return mean

    @property
    def importance(self) -> dict[str, float]:
        """Mean absolute value of each column over all sets, greatest first."""
        means = self.global_values.mean(axis=0).tolist()
        return dict(sorted(zip(self.names, means, strict=True), key=lambda item: -item[1]))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of Redshift's EXPLAIN_MODEL.

        Redshift's key is `kernel_shap`; it stays whatever the method is, so that queries written for it work.
        """
        sets = {
            f"label{k}": {
                "global_shap_values": dict(zip(self.names, means.tolist(), strict=True)),
                "expected_value": float(expected),
            }
            for k, (means, expected) in enumerate(zip(self.global_values, self.expected, strict=True))
        }
        return {
            "version": "1.0",
            "explanations": {"kernel_shap": sets},
            "method": self.method,
            "unit": self.unit,
            "labels": {f"label{k}": label for k, label in enumerate(self.labels) if label},
            "rows": int(self.values.shape[1]),
        }


def explain(
    program: Program | None,
    labels: tuple[str, ...],
    frame: pd.DataFrame,
    predict: Callable[[pd.DataFrame], Floats],
    seed: int = 0,
    seconds: float = math.inf,
) -> Explanation | None:
    """Return the Shapley values of a regression or a classification; None where there is no time for any.

    Parameters
    ----------
    program : None for a pipeline that has none: its predictions are sampled
    labels : the classes as text; empty for a regression
    frame : features of rows like those trained on, in random order: background, and those explained
    predict : the pipeline's probabilities of shape (n_rows, n_classes), or values of shape (n_rows,)
    seconds : about that many are taken: exact values of fewer rows, else sampled ones, of few rows at last
    """
    end = time.monotonic() + seconds
    if program is not None:
        sums = Sums(program)
        scores, unit = sums.scores()
        if len(labels) == 2:
            scores = scores[-1:]  # the first label's values are those of the second, negated
        terms = [term for term in map(sums.expand, scores) if term is not None]
        exact = _exact(sums, terms, frame, seconds) if len(terms) == len(scores) else None
        if exact is not None:
            known, values = exact
            names = tuple(labels[score.label] if labels else "" for score in scores)
            return Explanation(known.method, unit, names, tuple(frame), values, known.expected, known)
    return _sampled(program, labels, frame, predict, seed, end - time.monotonic())


@dataclass(frozen=True)
class ExactScores:
    """Scores that are sums, and what their Shapley values need of the background rows.

    Parameters
    ----------
    terms : of each score
    explainers : of each tree ensemble and sum of tables, by the number of its step
    means : of each slot
    """

    sums: Sums
    terms: list[Terms]
    explainers: dict[int, Explainer | TableExplainer]
    means: Floats

    @property
    def method(self) -> Method:
        """Which kind of exact values they are."""
        if any(isinstance(explainer, Explainer) for explainer in self.explainers.values()):
            return "tree_shap"
        return "additive_shap" if self.explainers else "linear_shap"

    @property
    def expected(self) -> Floats:
        """The mean score of the background rows, of shape (n_scores,)."""
        return np.array(
            [
                term.constant
                + sum(weight * self.means[slot] for slot, weight in term.slots.items())
                + sum(weight * self.explainers[k].expected[o] for (k, o), weight in term.trees.items())
                for term in self.terms
            ]
        )

    def values(self, rows: Floats) -> Floats:
        """Return the Shapley values of shape (n_scores, n_rows, n_inputs) of rows given as slots."""
        values = np.zeros((len(self.terms), len(rows), len(self.sums.program.inputs)))
        of_trees = {k: e.shap_values(rows[:, e.step.slots]) for k, e in self.explainers.items()}
        for position, term in enumerate(self.terms):
            for slot, weight in term.slots.items():
                for source in self.sums.sources[slot]:
                    values[position, :, source] += weight * (rows[:, slot] - self.means[slot])
            for (k, output), weight in term.trees.items():
                for column, slot in enumerate(self.explainers[k].step.slots):
                    for source in self.sums.sources[slot]:
                        values[position, :, source] += weight * of_trees[k][output, :, column]
        return values


def _exact(
    sums: Sums, terms: list[Terms], frame: pd.DataFrame, seconds: float
) -> tuple[ExactScores, Floats] | None:
    """Return the scores, and their values for some rows; None where too few can be explained in the time."""
    end = time.monotonic() + seconds
    slots = _slots(sums.program, terms, frame)
    used = sorted({slot for term in terms for slot in term.slots})
    slots = slots[np.isfinite(slots[:, used]).all(axis=1)]  # rows that the pipeline itself refuses
    ensembles = sorted({number for term in terms for number, _ in term.trees})
    n_trees = sum(len(_trees_of(sums.program, k)) for k in ensembles)
    background = _spread(slots, min(BACKGROUND_ROWS, max(200, BACKGROUND_VISITS // max(n_trees, 1))))
    needed_s = sum(_preparing_s(sums.program, k, background) for k in ensembles) if n_trees else 0.0
    if needed_s > PREPARING_SHARE * (end - time.monotonic()):
        return None
    explainers = {k: _explainer(sums.program, k, background) for k in ensembles}
    n_rows = MAX_ROWS
    if explainers:
        n_rows = min(n_rows, MAX_COST // max(sum(e.cost for e in explainers.values()), 1))
    if n_rows < MIN_ROWS or not len(slots):
        return None
    exact = ExactScores(sums, terms, explainers, background.mean(axis=0))
    left = min(VALUES_S, max(end - time.monotonic(), 0.0))
    return exact, values_in_time(exact.values, _spread(slots, n_rows), left)


def _preparing_s(program: Program, number: int, background: Floats) -> float:
    """Return how long an ensemble takes to be prepared, measured on some of its trees; 0 for few trees."""
    step = program.steps[number]
    if not isinstance(step, TreeEnsemble) or len(step.trees) < 5 * SAMPLED_TREES:
        return 0.0
    places = np.linspace(0, len(step.trees) - 1, SAMPLED_TREES).astype(np.int64)
    some = dataclasses.replace(step, trees=tuple(step.trees[place] for place in places))
    started = time.monotonic()
    Explainer(some, background[:, step.slots])
    return (time.monotonic() - started) * len(step.trees) / SAMPLED_TREES


def values_in_time(
    values_of: Callable[[Floats], Floats],
    rows: Floats,
    seconds: float = VALUES_S,
    clock: Callable[[], float] = time.monotonic,
) -> Floats:
    """Return the Shapley values of the rows, or of as many of them, evenly spread, as there is time for.

    Parameters
    ----------
    values_of : takes rows, returns values of shape (n_scores, n_rows, n_inputs)
    """
    first = np.unique(np.linspace(0, len(rows) - 1, min(MIN_ROWS, len(rows))).astype(np.int64))
    started = clock()
    values = values_of(rows[first])
    taken = clock() - started
    others = np.setdiff1d(np.arange(len(rows)), first)
    n_more = int(min(len(others), (seconds - taken) / max(taken, 1e-9) * len(first)))
    if n_more < 1:
        return values
    more = _spread(others, n_more)
    values = np.concatenate([values, values_of(rows[more])], axis=1)
    found: Floats = values[:, np.argsort(np.concatenate([first, more]))]
    return found


def _slots(program: Program, terms: list[Terms], frame: pd.DataFrame) -> Floats:
    """Return the slots that the terms read, computed by the program's first steps."""
    last = [number - 1 for term in terms for number, _ in term.trees]
    offsets = np.array(program.offsets)
    last += [int(np.searchsorted(offsets, slot, side="right")) - 1 for term in terms for slot in term.slots]
    encoding = dataclasses.replace(program, steps=program.steps[: max(last, default=-1) + 1])
    rows = _spread(frame, BACKGROUND_ROWS)
    result: Floats = interpret.slots(encoding, {name: rows[name].to_numpy() for name in rows})
    return result


def _explainer(program: Program, number: int, background: Floats) -> Explainer | TableExplainer:
    step = program.steps[number]
    if isinstance(step, TableSum):
        return TableExplainer(step, background[:, step.slots])
    assert isinstance(step, TreeEnsemble)
    return Explainer(step, background[:, step.slots])


def _trees_of(program: Program, number: int) -> tuple[Tree, ...]:
    step = program.steps[number]
    return step.trees if isinstance(step, TreeEnsemble) else ()


def _sampled(
    program: Program | None,
    labels: tuple[str, ...],
    frame: pd.DataFrame,
    predict: Callable[[pd.DataFrame], Floats],
    seed: int,
    seconds: float,
) -> Explanation | None:
    """Return sampled values of as many rows as there is time for; None where it is too short for a few."""
    explained = labels[1:] if len(labels) == 2 else labels or ("",)

    def score(rows: pd.DataFrame) -> Floats:
        found = np.asarray(predict(rows), dtype=np.float64).reshape(len(rows), -1)
        return found[:, -len(explained) :]

    columns = list(frame)
    read = range(len(columns)) if program is None else sorted(_inputs_read(program))
    background = _spread(frame, BACKGROUND_ROWS)
    rows = _spread(frame, int(np.clip(2_000_000 // (len(read) + 1) ** 2, MIN_ROWS, SAMPLED_ROWS)))
    most = MAX_PREDICTIONS
    if math.isfinite(seconds):
        started = time.monotonic()
        score(_spread(background, TIMED_ROWS))
        each = (time.monotonic() - started) / min(len(background), TIMED_ROWS)
        most = int(min(most, max(seconds, 0.0) / max(each, 1e-9)))
    walks = 2 * (len(read) + 1)  # two orders of each row
    if most < walks * MIN_SAMPLED_ROWS:
        return None
    rows = _spread(rows, most // walks)
    names = [columns[position] for position in read]
    found = sampled_shap_values(score, rows, background, names, seed, most)
    values = np.zeros((len(explained), len(rows), len(columns)))
    values[:, :, list(read)] = found
    unit = PROBABILITY if labels else TARGET
    expected = score(background).mean(axis=0)
    return Explanation("permutation_shap", unit, explained, tuple(columns), values, expected)


def _inputs_read(program: Program) -> set[int]:
    return {step.reads_input for step in program.steps if step.reads_input is not None}


def _spread(rows: Any, n: int) -> Any:
    """Return at most n rows, evenly spread over all."""
    if len(rows) <= n:
        return rows
    places = np.linspace(0, len(rows) - 1, n).astype(np.int64)
    return rows.iloc[places] if isinstance(rows, pd.DataFrame) else rows[places]
