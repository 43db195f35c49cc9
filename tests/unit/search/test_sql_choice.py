"""Where the function will be SQL: what is published instead of the best, and when."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from postgres_ml.contract.config import Settings
from postgres_ml.features.feature_columns import FeatureColumns
from postgres_ml.features.problem import Problem
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.fit.trial import Trial
from postgres_ml.search.choice import best_of, decide
from postgres_ml.search.portfolio import ADDITIVE, portfolio
from postgres_ml.search.sql_choice import SMALL_CONDITIONS, conditions, fast_instead, microseconds
from support.training import make_spec

TRUTH = np.arange(2000) % 2
NUMBERS = np.random.default_rng(7).normal(size=2000)
COLUMNS = FeatureColumns(("a", "b", "c"), ("d",), kinds=dict.fromkeys("abc", "number") | {"d": "text"})
TREES = {"n_trees": 120, "n_nodes": 120 * 63}  # of depth 5
SMALL = {"n_trees": 30, "n_nodes": 30 * 127}  # of depth 6


def task(metric: str = "accuracy", *, is_sql: bool = True, classes: int = 2, **settings: Any) -> Task:
    kind: Any = {"mse": "regression"}.get(metric, "binary_classification")
    kind = "multiclass_classification" if classes > 2 else kind
    labels = np.array([] if metric == "mse" else list("abcdefgh"[:classes]), dtype=object)
    spec = make_spec(settings=Settings(**settings), runtime="sql" if is_sql else "auto")
    return Task(spec, Problem(kind, metric, metric, labels), COLUMNS, 1, Deadline(10), is_sql)


def trial(name: str, worse: float = 0.0, kind: str = "xgboost", seed: int = 1, **size: int) -> Trial:
    """Return a trial of two classes, whose log loss is as much worse than that of the seed's rows."""
    noise = np.random.default_rng(seed).normal(scale=1.5, size=len(TRUTH))
    right = 1 / (1 + np.exp(-1.5 - noise))
    right = right ** (1 + worse)
    raw = np.column_stack([np.where(TRUTH == 0, right, 1 - right), np.where(TRUTH == 1, right, 1 - right)])
    accuracy, loss = float(np.mean(right >= 0.5)), float(-np.mean(np.log(right)))
    return made(name, kind, accuracy, loss, TRUTH, raw, size)


def number_trial(name: str, worse: float = 0.0, kind: str = "xgboost", seed: int = 1, **size: int) -> Trial:
    """Return a trial of a regression, whose mse is as much worse than that of the seed's rows."""
    errors = np.random.default_rng(seed).normal(scale=0.4, size=len(NUMBERS)) * np.sqrt(1 + worse)
    mse = float(np.mean(np.square(errors)))
    return made(name, kind, -mse, mse, NUMBERS, NUMBERS + errors, size)


def made(name: str, kind: str, score: float, loss: float, truth: Any, raw: Any, size: Any) -> Trial:
    parameters = dict(ADDITIVE) if kind == "additive" else {}
    encoding = {"xgboost": "codes", "additive": "tables"}.get(kind, "scaled")
    candidate = Candidate(name, kind, parameters, encoding=encoding)
    n_trees, n_nodes = size.get("n_trees", 0), size.get("n_nodes", 0)
    return Trial(candidate, score, loss, n_trees, n_nodes, 0.5, 1.0, truth, raw)


def always(members: object, *, with_refit: bool = False) -> float:
    return 1.0


@pytest.mark.parametrize(("by", "given", "is_taken"), [
    (0.014, {}, True), (0.016, {}, False), (0.04, {"sql_tolerance": 0.05}, True),
    (0.001, {"sql_tolerance": 0.0}, False),
])  # fmt: skip
@pytest.mark.parametrize("metric", ["accuracy", "auc", "mse"])
def test_an_additive_model_is_published_within_the_tolerance(
    metric: str, by: float, given: dict[str, float], is_taken: bool
) -> None:
    of, make = task(metric, **given), number_trial if metric == "mse" else trial
    trees, tables = make("trees", **TREES), make("tables", by, "additive")
    choice = decide(of, [trees, tables], always)
    assert choice.candidate.model_type == ("additive" if is_taken else "xgboost")
    assert choice.loss == (tables if is_taken else trees).loss
    assert ("sql_tolerance" in choice.reason) == is_taken
    on_others = decide(task(metric, is_sql=False, **given), [trees, tables], always)
    assert on_others.candidate.model_type == "xgboost", "other runtimes give up nothing"


def test_the_reason_says_what_is_given_up_and_won() -> None:
    trees, tables = trial("trees", **TREES), trial("additive", 0.01, "additive")
    of = task()
    _, members, reason = best_of(of, [trees, tables])
    assert members == [(tables, 1.0)]
    faster = microseconds(of, [(trees, 1.0)]) / microseconds(of, [(tables, 1.0)])
    assert reason == (
        f"log_loss {tables.loss:.4g} instead of {trees.loss:.4g} of boosted trees, depth 6 (1 % worse, "
        f"sql_tolerance 1.5 %), and by estimate about {faster:.2g} times as many rows a second in SQL"
    )


def test_what_is_given_up_is_measured_from_the_blend() -> None:
    parts = [number_trial("one", seed=1, **TREES), number_trial("other", seed=2, **TREES)]
    of = task("mse")
    blend, members, _ = best_of(of, parts)
    assert len(members) == 2
    near, far = (
        number_trial("tables", blend.loss / parts[0].loss * by - 1, "additive") for by in (1.01, 1.02)
    )
    found = fast_instead(of, [*parts, near], blend, members)
    assert found is not None and found[0] is near
    assert f"instead of {blend.loss:.4g} of blend of 2 boosted trees (1 % worse" in found[1]
    assert fast_instead(of, [*parts, far], blend, members) is None


def test_without_an_additive_model_small_trees_are_published_within_the_tolerance() -> None:
    trees, small, far = trial("trees", **TREES), trial("small", 0.01, **SMALL), trial("far", 0.02, **SMALL)
    of = task()
    assert conditions(of, small) <= SMALL_CONDITIONS < conditions(of, trees)
    assert decide(of, [trees, far], always).candidate.name == "trees"
    choice = decide(of, [trees, small], always)
    assert choice.candidate.name == "small" and "(1 % worse, sql_tolerance 1.5 %)" in choice.reason


def test_tables_come_before_small_trees_and_the_least_loss_before_others() -> None:
    trees, small = trial("trees", **TREES), trial("small", 0.005, **SMALL)
    tables, line = trial("tables", 0.01, "additive"), trial("line", 0.008, "linear_learner")
    of = task()
    assert decide(of, [trees, small, tables], always).candidate.name == "tables"
    assert decide(of, [trees, small, tables, line], always).candidate.name == "line"
    line = trial("line", 0.012, "linear_learner")
    assert decide(of, [trees, small, tables, line], always).candidate.name == "tables"


def test_nothing_is_given_up_for_what_is_hardly_faster() -> None:
    few = {"n_trees": 5, "n_nodes": 5 * 7}
    stumps, tables = trial("stumps", **few), trial("tables", 0.01, "additive")
    of = task()
    assert microseconds(of, [(stumps, 1.0)]) < microseconds(of, [(tables, 1.0)])
    assert decide(of, [stumps, tables], always).candidate.name == "stumps"
    words = dataclasses.replace(COLUMNS, words=("e",))
    of = dataclasses.replace(of, columns=words)
    pair = trial("trees", **TREES), trial("small", 0.01, **SMALL)
    assert decide(of, pair, always).candidate.name == "trees", "splitting words is what takes the time"


def test_a_score_that_is_worse_beyond_luck_and_tolerance_is_not_given_up() -> None:
    trees, tables = trial("trees", **TREES), trial("tables", 0.01, "additive")
    right = tables.raw[np.arange(len(TRUTH)), TRUTH]
    # a tenth of the rows, which were just right, are just wrong: log loss knows little of that
    turned = np.flatnonzero(right > 0.5)[np.argsort(right[right > 0.5])[:200]]
    moved = right.copy()
    moved[turned] = 0.4999
    others = np.setdiff1d(np.flatnonzero(right > 0.5), turned)
    lost = np.log(right[turned]).sum() - np.log(moved[turned]).sum()
    moved[others] = np.exp(np.log(right[others]) * (1 + lost / np.log(right[others]).sum()))
    raw = np.column_stack([np.where(TRUTH == 0, moved, 1 - moved), np.where(TRUTH == 1, moved, 1 - moved)])
    accuracy, loss = float(np.mean(moved >= 0.5)), float(-np.mean(np.log(moved)))
    worse = made("tables", "additive", accuracy, loss, TRUTH, raw, {})
    assert worse.loss == pytest.approx(tables.loss) and worse.score < trees.score - 0.05
    assert fast_instead(task(), [trees, tables], trees, [(trees, 1.0)]) is not None
    assert fast_instead(task(), [trees, worse], trees, [(trees, 1.0)]) is None
    generous = task(sql_tolerance=0.2)
    assert fast_instead(generous, [trees, worse], trees, [(trees, 1.0)]) is not None


def test_there_is_no_time_to_fit_it_again_so_what_there_is_time_for_is_published() -> None:
    trees, tables = trial("trees", **TREES), trial("tables", 0.01, "additive")

    def but_tables(members: Any, *, with_refit: bool = False) -> float | None:
        return None if members[0][0] is tables else 1.0

    choice = decide(task(), [trees, tables], but_tables)
    assert choice.candidate.name == "trees" and "times as many rows" not in choice.reason


@pytest.mark.parametrize("classes", [2, 4, 8])
def test_candidates_for_sql_come_early_and_are_small(classes: int) -> None:
    of = task(classes=classes)
    codes = np.arange(1000) % classes
    names = [candidate.name for candidate in portfolio(of, codes)]
    assert names[:4] == ["linear scaled 1", "xgboost r89", "additive", "xgboost small"]
    (small,) = (candidate for candidate in portfolio(of, codes) if candidate.name == "xgboost small")
    assert small.parameters["n_estimators"] * (classes if classes > 2 else 1) <= 50
    native = [item.name for item in portfolio(dataclasses.replace(of, is_sql=False), codes)]
    assert "xgboost small" not in native and native.index("additive") > native.index("xgboost shallow")


def test_of_many_classes_no_trees_are_small_and_words_leave_no_tables() -> None:
    of = task(classes=8)
    many = dataclasses.replace(of, problem=dataclasses.replace(of.problem, classes=np.arange(11)))
    assert "xgboost small" not in {item.name for item in portfolio(many, np.arange(1100) % 11)}
    words = dataclasses.replace(of, columns=dataclasses.replace(COLUMNS, words=("e",)))
    assert "additive" not in {item.model_type for item in portfolio(words, np.arange(800) % 8)}
