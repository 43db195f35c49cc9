"""Which trial is published, and when a blend is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from postgres_ml.evaluate.metrics import score_function
from postgres_ml.features.feature_columns import FeatureColumns
from postgres_ml.features.problem import Problem
from postgres_ml.fit.candidates import Candidate, Member
from postgres_ml.fit.choice import Choice
from postgres_ml.fit.fit import fit_pipeline
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.fit.trial import Trial
from postgres_ml.generate.sql.generate import CHAINED_NODES
from postgres_ml.search.choice import choose, decide
from postgres_ml.search.decision_rule import (
    choose_class_multipliers,
    choose_threshold,
    tunes_class_multipliers,
)
from postgres_ml.search.ensemble import NODES_PER_NODE, average, greedy
from postgres_ml.snapshot.rows import TrainingRows
from sklearn.metrics import f1_score
from support.training import make_spec

TRUTH = np.arange(1000) % 2


def task(metric: str = "accuracy", *, is_sql: bool = True) -> Task:
    problem = Problem("binary_classification", metric, metric, np.array(["no", "yes"], dtype=object))
    return Task(make_spec(), problem, FeatureColumns(("x",), ()), 1, Deadline(10), is_sql)


def trial(name: str, positive: np.ndarray, n_nodes: int = 10, model_type: str = "xgboost") -> Trial:
    raw = np.column_stack([1 - positive, positive])
    accuracy = float(np.mean((positive >= 0.5) == TRUTH))
    loss = float(-np.mean(np.log(raw[np.arange(len(TRUTH)), TRUTH])))
    return Trial(Candidate(name, model_type), accuracy, loss, 10, n_nodes, 0.5, 1.0, TRUTH, raw)


def always(members: object, *, with_refit: bool = False) -> float:
    return 1.0


def test_a_clearly_better_score_wins_whatever_its_size() -> None:
    good, bad = np.where(TRUTH == 1, 0.8, 0.2), np.full(1000, 0.6)
    best, reason = choose(task(), [trial("bad", bad, 1), trial("good", good, 10_000)])
    assert best.candidate.name == "good" and "best accuracy" in reason


def test_among_equal_scores_the_surer_candidate_wins() -> None:
    sure, unsure = np.where(TRUTH == 1, 0.95, 0.05), np.where(TRUTH == 1, 0.55, 0.45)
    best, reason = choose(task(), [trial("unsure", unsure, 1), trial("sure", sure, 10_000)])
    assert best.candidate.name == "sure" and "as good as" in reason


def test_among_equals_in_everything_the_smaller_wins_and_sql_says_what_for() -> None:
    large = noisy(0, 0.5)
    worse = np.random.default_rng(0).normal(scale=0.002, size=1000)
    worse *= np.abs(large - 0.5) > 0.05  # the same labels
    small = np.clip(large - np.where(TRUTH == 1, 1, -1) * (worse - worse.mean() + 0.00003), 0.01, 0.99)
    pair = [trial("large", large, 500), trial("small", small, 20)]
    assert pair[0].loss < pair[1].loss
    best, reason = choose(task(), pair)
    assert best.n_nodes == 20 and "20 tree nodes instead of 500" in reason


def noisy(seed: int, scale: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(scale=scale, size=1000)
    return 1 / (1 + np.exp(-np.where(TRUTH == 1, 1.0, -1.0) - noise))


@pytest.mark.parametrize("is_stack", [True, False])
def test_a_stack_alone_is_judged_as_the_blend_that_it_is(is_stack: bool) -> None:
    """Ten rows of a thousand fewer are right, which is 1.6 standard errors, and it is far surer."""
    drawn = np.random.default_rng(1).permutation(1000)
    of_truth = np.where(drawn < 100, 0.45, 0.55)  # the probability of the true class
    surer = np.where((drawn < 90) | (drawn >= 980), 0.3, 0.95)
    single, stacked = (
        trial(name, np.where(TRUTH == 1, share, 1 - share))
        for name, share in (("single", of_truth), ("stacked", surer))
    )
    if is_stack:
        candidate = replace(stacked.candidate, below=(Member(single.candidate),))
        stacked = replace(stacked, candidate=candidate)
    assert len(greedy(task(is_sql=False), [single, stacked])) == 1
    choice = decide(task(is_sql=False), [single, stacked], always)
    assert choice.candidate.name == ("stacked" if is_stack else "single")


def test_two_that_err_differently_are_blended() -> None:
    trials = [trial("one", noisy(1, 1.5)), trial("other", noisy(2, 1.5)), trial("poor", noisy(3, 9))]
    choice = decide(task(is_sql=False), trials, always)
    assert {member.candidate.name for member in choice.members} == {"one", "other"}
    assert sum(member.weight for member in choice.members) == 1
    assert choice.candidate.model_type == "ensemble" and "a weighted average of 2" in choice.reason
    assert choice.n_trees is None and all(member.n_rounds == 10 for member in choice.members)


@pytest.mark.parametrize(("n_better", "is_blended"), [(3, True), (40, False)])
def test_a_blend_is_refused_for_its_score_only_where_that_is_no_luck(n_better: int, is_blended: bool) -> None:
    one, other = trial("one", noisy(1, 1.5)), trial("other", noisy(2, 1.5))
    right = (average(greedy(task(), [one, other]))[:, 1] >= 0.5) == TRUTH
    right[np.flatnonzero(~right)[:n_better]] = True
    # as sure as `one` where it is right, and never sure of what is wrong for the other
    towards = np.where(right, TRUTH, 1 - TRUTH)
    positive = np.where(towards == 1, np.maximum(one.raw[:, 1], 0.5), np.minimum(one.raw[:, 1], 0.49))
    choice = decide(task(is_sql=False), [trial("lucky", positive), one, other], always)
    assert bool(choice.members) == is_blended


def test_a_blend_that_gains_nothing_is_not_made() -> None:
    same = noisy(1, 1.5)
    choice = decide(task(is_sql=False), [trial("one", same), trial("other", same.copy())], always)
    assert choice.members == () and choice.n_trees == 10


def test_a_blend_for_which_there_is_no_time_is_not_made() -> None:
    trials = [trial("one", noisy(1, 1.5)), trial("other", noisy(2, 1.5))]
    choice: Choice = decide(
        task(is_sql=False), trials, lambda members, **_: 1.0 if len(members) == 1 else None
    )
    assert choice.members == ()


def test_no_blend_is_larger_than_the_functions_of_sql() -> None:
    """Of which the largest refuse more than 200,000 nodes; those of a fit on all rows are more than a fold's."""
    trials = [
        trial(name, noisy(seed, 1.5), 50_000) for seed, name in enumerate(("one", "two", "three", "four"))
    ]
    small = trial("small", noisy(5, 1.6), 100)
    for is_sql in (False, True):
        chosen = decide(task(is_sql=is_sql), [*trials, small], always)
        members = greedy(task(is_sql=is_sql), [*trials, small])
        n_nodes = NODES_PER_NODE * sum(member.n_nodes for member, _ in members)
        assert (n_nodes <= CHAINED_NODES) is is_sql
        assert {member.candidate.name for member in chosen.members} == {t.candidate.name for t, _ in members}


def test_what_no_sql_function_can_hold_is_not_chosen_unless_there_is_nothing_else() -> None:
    good, poor = trial("good", noisy(1, 1.0), 300_000), trial("poor", noisy(2, 3.0), 1_000)
    assert decide(task(), [good, poor], always).candidate.name == "poor"
    assert decide(task(is_sql=False), [good, poor], always).candidate.name == "good"
    larger = trial("larger", noisy(3, 0.5), 400_000)
    assert decide(task(), [larger, good], always).candidate.name == "good"


def test_a_network_is_fitted_from_several_seeds() -> None:
    network = trial("net", noisy(1, 1.0), 0, "mlp")
    network.candidate.parameters.update(random_state=5, hidden_layer_sizes=(8,))
    choice = decide(task(is_sql=False), [network, trial("poor", noisy(3, 9))], always)
    assert choice.candidate.name == "net" and choice.candidate.model_type == "mlp"
    assert [member.candidate.parameters["random_state"] for member in choice.members] == [5, 1005, 2005]
    assert np.isclose(sum(member.weight for member in choice.members), 1)
    assert decide(task(is_sql=True), [network], always).members == ()


def test_greedy_weights_are_few_and_no_worse_than_the_best() -> None:
    trials = [trial(str(seed), noisy(seed, 1.5)) for seed in range(8)]
    members = greedy(task(), trials)
    assert len(members) <= 4 and np.isclose(sum(weight for _, weight in members), 1)
    given = average(members)[np.arange(1000), TRUTH]
    assert -np.mean(np.log(given)) < min(t.loss for t in trials)


def test_f1_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, 4, 500)
    raw = random.dirichlet(np.ones(5), 500)  # class 4 is predicted and never true
    problem = Problem("multiclass_classification", "f1_macro", "f1_macro", np.arange(5))
    expected = f1_score(codes, raw.argmax(axis=1), average="macro", zero_division=0.0)
    assert np.isclose(score_function(problem, "f1_macro", 0.5)(codes, raw), expected)
    two = random.random((500, 2))
    binary = score_function(task("f1").problem, "f1", 0.4)(codes % 2, two)
    assert np.isclose(binary, f1_score(codes % 2, two[:, 1] >= 0.4))


def test_the_threshold_is_tuned_for_the_metric_that_is_asked_for() -> None:
    random = np.random.default_rng(0)
    codes = (random.random(4000) < 0.15).astype(int)
    positive = 1 / (1 + np.exp(-(2.0 * codes - 2.5 + random.normal(size=4000))))
    raw = np.column_stack([1 - positive, positive])
    for metric in ("f1", "f1_macro"):
        score = score_function(task(metric).problem, metric, choose_threshold(codes, raw, metric))
        grid = [
            score_function(task(metric).problem, metric, at)(codes, raw) for at in np.linspace(0.02, 0.98, 97)
        ]
        assert score(codes, raw) > max(grid) - 0.01


def rare_classes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return class codes, one class of eighty in a hundred, and the true probabilities of them."""
    random = np.random.default_rng(seed)
    codes = random.choice(3, n, p=[0.8, 0.15, 0.05])
    scores = random.normal(size=(n, 3)) + np.eye(3)[codes]
    odds = np.array([0.8, 0.15, 0.05]) * np.exp(scores)
    return codes, odds / odds.sum(axis=1, keepdims=True)


def test_factors_that_pay_are_chosen_and_hold_on_new_rows() -> None:
    factors = choose_class_multipliers(*rare_classes(4000, 0))
    assert len(factors) == 3 and max(factors) == 1.0 and factors[0] == min(factors)
    codes, fresh = rare_classes(4000, 1)
    likely, weighted = fresh.argmax(axis=1), (fresh * factors).argmax(axis=1)
    gain = f1_score(codes, weighted, average="macro") - f1_score(codes, likely, average="macro")
    assert gain > 0.03


def test_factors_within_the_noise_are_not_chosen() -> None:
    codes = np.arange(300) % 3
    raw = np.random.default_rng(0).dirichlet(np.ones(3), 300) + 0.3 * np.eye(3)[codes]
    assert choose_class_multipliers(codes, raw / raw.sum(axis=1, keepdims=True)) == ()


def test_factors_of_classes_that_are_never_possible_are_finite() -> None:
    codes, raw = rare_classes(2000, 0)
    raw[:, 2] = 0.0
    assert all(np.isfinite(choose_class_multipliers(codes, raw)))


def test_factors_are_for_f1_macro_of_a_number_of_classes() -> None:
    for metric, n, expected in (("f1_macro", 3, True), ("f1_macro", 64, True), ("f1_macro", 65, False),
                                ("f1_macro", 2, False), ("accuracy", 3, False)):  # fmt: skip
        assert (
            tunes_class_multipliers(Problem("multiclass_classification", metric, metric, np.arange(n)))
            == expected
        )


def test_f1_macro_of_three_classes_is_tuned_by_factors() -> None:
    codes, raw = rare_classes(2000, 0)
    problem = Problem("multiclass_classification", "f1_macro", "f1_macro", np.array(["a", "b", "c"]))
    several = Task(make_spec(), problem, FeatureColumns(("x",), ()), 1, Deadline(10))
    only = Trial(Candidate("one", "xgboost"), 0.5, 0.5, 10, 10, 0.5, 1.0, codes, raw)
    choice = decide(several, [only], always)
    assert choice.class_multipliers == choose_class_multipliers(codes, raw) != () and choice.threshold is None
    frame = pd.DataFrame({"x": codes + raw[:, 0]})
    rows = TrainingRows(frame, np.array(["a", "b", "c"])[codes], np.arange(2000, dtype=np.uint64), "")
    pipeline = fit_pipeline(several, choice, rows, None)
    products = pipeline.predict_proba(frame) * choice.class_multipliers
    assert np.array_equal(pipeline.predict(frame), problem.classes[products.argmax(axis=1)])
