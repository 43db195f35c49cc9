"""What a search does with its time, decided on measured costs: no clock of the machine is read."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres_ml.contract.config import Settings
from postgres_ml.features.feature_columns import FeatureColumns
from postgres_ml.features.problem import Problem
from postgres_ml.fit.candidates import Candidate
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.fit.trial import Trial
from postgres_ml.search.budget import LOWERING, Budget
from postgres_ml.search.folds import Folds
from postgres_ml.search.plan import (
    COARSE_BINS,
    FASTEST_RATE,
    FIRST_SHARE,
    MIN_ROWS,
    USUAL_RATE,
    Plan,
    n_rounds,
    plan,
)
from postgres_ml.search.proposals import Proposals, with_dear_tables_later
from postgres_ml.snapshot.rows import TrainingRows, spread_part
from support.training import make_spec

BOOSTED = Candidate("xgboost r89", "xgboost", {"learning_rate": USUAL_RATE})
LINEAR = Candidate("linear", "linear_learner", {"C": 1.0})
FITS = 3.1, 1.5
NETWORK = Candidate("mlp", "mlp", {"n_epochs": 50, "random_state": 0})


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def budget_of(seconds: float, n_splits: int = 5, n_threads: int = 2) -> tuple[Budget, Hands]:
    hands = Hands()
    problem = Problem("binary_classification", "f1", "f1", np.array(["no", "yes"], dtype=object))
    task = Task(make_spec(), problem, FeatureColumns(("x",), ()), n_threads, Deadline(seconds, hands), False)
    return Budget(task, n_splits, 1.25), hands


def tried(candidate: Candidate, best_s: float, loss: float = 0.5) -> Trial:
    raw = np.full((10, 2), 0.5)
    return Trial(candidate, 0.5, loss, 100, 100, 0.5, 5 * best_s, np.zeros(10, np.int64), raw, best_s=best_s)


def test_with_enough_time_nothing_is_made_smaller() -> None:
    assert plan(60.0, 0.001, 5, 12_000, 2, FITS) == Plan(5)
    assert plan(5400.0, 0.1, 5, 12_000, 2, FITS) == Plan(5)


def test_short_time_takes_folds_first_then_small_steps_then_the_final_fit_then_rows() -> None:
    plans = [plan(60.0, round_s, 5, 12_000, 2, FITS) for round_s in (0.001, 0.02, 0.06, 0.2, 1.0, 6.0)]
    assert [found.n_splits for found in plans] == [5, 1, 1, 1, 1, 1]
    assert [found.least_rate for found in plans[:2]] == [0, 0]
    assert USUAL_RATE < plans[2].least_rate < FASTEST_RATE
    assert [found.least_rate for found in plans[3:]] == [FASTEST_RATE] * 3
    assert [found.has_final_fit for found in plans] == [True, True, True, False, False, False]
    assert [found.row_share for found in plans[:4]] == [1] * 4
    assert 1 > plans[4].row_share > plans[5].row_share == pytest.approx(MIN_ROWS / 12_000)


def test_where_a_fold_s_fit_has_to_do_it_may_take_the_time_of_the_others() -> None:
    budget, _ = budget_of(60)
    budget.note_unit(BOOSTED, 0.25)
    found = budget.plan(12_000)
    assert not found.has_final_fit and found.row_share == 1
    assert not budget.allows([found.adapted(BOOSTED)])
    budget.adopt(found)
    assert budget.allows([found.adapted(BOOSTED)])


def test_fewer_bins_are_a_parameter_of_boosted_candidates() -> None:
    found = Plan(1, is_coarse=True)
    assert found.adapted(BOOSTED).parameters["max_bin"] == COARSE_BINS
    assert found.adapted(BOOSTED).name == BOOSTED.name and found.adapted(LINEAR) is LINEAR


@given(
    seconds=st.floats(1, 6000), round_s=st.floats(1e-5, 10), n_rows=st.integers(40, 1_000_000),
    n_threads=st.integers(1, 16), n_splits=st.sampled_from([1, 5]),
)  # fmt: skip
def test_the_first_boosted_candidate_and_its_final_fits_always_fit_the_time(
    seconds: float, round_s: float, n_rows: int, n_threads: int, n_splits: int
) -> None:
    """Whatever a round costs, on rows, classes or a busy machine: boosting learns to the end, of fewer rows."""
    found = plan(seconds, round_s, n_splits, n_rows, n_threads, FITS)
    assert 0 < found.row_share <= 1 and found.least_rate <= FASTEST_RATE
    final = FITS[found.is_hurried] if found.has_final_fit else 0.0
    fits = -(-found.n_splits // n_threads) + final
    rounds = n_rounds(max(found.least_rate, USUAL_RATE), n_rows)
    needed = rounds * round_s * found.row_share * fits
    is_least = found.row_share == min(1.0, MIN_ROWS / n_rows) and found.least_rate == FASTEST_RATE
    assert needed <= 1.06 * FIRST_SHARE * seconds or is_least


def test_a_faster_candidate_says_its_rate_in_its_name() -> None:
    found = Plan(1, 0.3, 0.5).adapted(BOOSTED)
    assert (found.name, found.parameters["learning_rate"]) == ("xgboost r89 at rate 0.3", 0.3)
    assert Plan(1, 0.05).adapted(BOOSTED) is BOOSTED and Plan(1, 0.3).adapted(LINEAR) is LINEAR


def test_fewer_rows_are_a_part_of_each_class() -> None:
    codes = np.repeat([0, 1, 2], [900, 98, 2])[np.random.default_rng(0).permutation(1000)]
    places = spread_part(codes, 0.1)
    assert np.array_equal(np.sort(places), places) and len(np.unique(places)) == len(places)
    assert np.bincount(codes[places]).tolist() == [90, 10, 2]


def test_folds_of_fewer_rows_predict_the_same_rows() -> None:
    codes = np.arange(1000) % 3
    rows = TrainingRows(None, codes, np.arange(1000, dtype=np.uint64), "")  # type: ignore[arg-type]
    whole = Folds.of(rows, codes, stratified=True)
    fewer = whole.fewer(1, 0.25, codes)
    (split,) = fewer.splits
    assert fewer.looks_at_fold and np.array_equal(split.valid, whole.splits[0].valid)
    assert len(split.train) == pytest.approx(200, abs=3) and set(split.train) <= set(whole.splits[0].train)


def test_the_probes_make_the_plan_and_the_plan_the_expected_costs() -> None:
    budget, _ = budget_of(60)
    budget.note_unit(BOOSTED, 1.0)  # a round of 26 classes on a busy machine
    found = budget.plan(12_000)
    budget.adopt(found)
    assert (
        budget.is_short and found.n_splits == budget.n_splits == 1 and found.row_share == budget.row_share < 1
    )
    fast = found.adapted(BOOSTED)
    assert budget.expected_s(fast) == pytest.approx(
        n_rounds(FASTEST_RATE, 12_000 * found.row_share) * found.row_share
    )
    assert budget.allows([fast])


def test_a_candidate_is_begun_only_if_its_final_fits_are_affordable_as_well() -> None:
    budget, hands = budget_of(60, n_splits=1)
    budget.note_unit(NETWORK, 0.2)  # 10 s a fit, and one more of three networks on two cores
    assert budget.expected_s(NETWORK) == 10.0
    assert budget.allows([NETWORK])
    hands.now = 26
    assert 10.0 < 34 * 0.9 and not budget.allows([NETWORK]), "the search alone would end in time"


def test_what_trials_took_replaces_what_was_expected() -> None:
    budget, _ = budget_of(60)
    budget.note_unit(LINEAR, 0.01)
    assert budget.expected_s(LINEAR) == 1.0
    budget.note_cost(LINEAR, 4.0, 4.0)
    assert budget.expected_s(LINEAR) == 4.0
    budget.note_cost(LINEAR, 1.0, 1.0)
    assert budget.expected_s(LINEAR) == pytest.approx(3.2), "the greater one fades"
    assert budget.expected_s(NETWORK) == 0.0, "of which nothing is known"


def test_the_final_fit_learns_from_as_many_rows_as_there_is_time_for() -> None:
    budget, hands = budget_of(60, n_splits=1)
    budget.note_unit(BOOSTED, 6.0)
    budget.adopt(budget.plan(800_000))
    share = budget.row_share
    assert 0.001 < share < 0.1
    trial = tried(BOOSTED, 10.0)
    hands.now = 20
    found = budget.rows_for([(trial, 1.0)])
    assert found is not None and share <= found < 0.15
    assert budget.final_s([(trial, 1.0)], 1.2 * found) == pytest.approx(40.0)
    hands.now = 50
    assert budget.rows_for([(trial, 1.0)]) is None, "not even as many rows as the trial's"


def test_the_first_candidate_is_tried_whatever_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    budget, hands = budget_of(60)
    budget.note_unit(LINEAR, 5.0)
    proposals = Proposals(budget.task, [LINEAR, BOOSTED], Plan(5))
    assert proposals.next(1, [], budget) == [LINEAR]
    hands.now = 60
    assert Proposals(budget.task, [LINEAR], Plan(5)).next(1, [], budget) == []


@pytest.mark.parametrize("is_sql", [False, True])
def test_time_to_write_the_functions_is_kept_free(is_sql: bool) -> None:
    budget, hands = budget_of(60)
    budget.task = dataclasses.replace(budget.task, is_sql=is_sql)
    lower_s = LOWERING[is_sql] * 2.0
    members = [(dataclasses.replace(tried(BOOSTED, 0.1), n_nodes=200_000), 1.0)]
    budget.note_best(0.5, 1, members)
    before = budget.left_s
    assert budget.best_lower_s == 0 and budget.rows_for(members) == 1
    budget.note_reading(1e-5)
    budget.note_best(0.4, 1, members)
    assert budget.best_lower_s == pytest.approx(lower_s)
    assert budget.left_s == pytest.approx(before - lower_s)
    assert budget.fit_s == pytest.approx(1.2 * 1.25 * 0.1, rel=0.1), "of the fits alone"
    hands.now = 60 - lower_s  # only the functions can still be written
    assert budget.rows_for(members) is None


@pytest.mark.parametrize(("seconds", "is_sql", "place"), [(60, True, 9), (600, True, 1), (60, False, 1)])
def test_tables_that_take_much_of_the_time_come_later(seconds: float, is_sql: bool, place: int) -> None:
    budget, _ = budget_of(seconds)
    task = budget.task = dataclasses.replace(budget.task, is_sql=is_sql)
    tables = Candidate("additive", "additive", {"learning_rate": 0.1, "outer_bags": 5})
    budget.note_unit(tables, 4.0 / (5 * 4 * n_rounds(0.1, 10_000)))
    budget.plan(10_000)
    others = [dataclasses.replace(BOOSTED, name=str(number)) for number in range(12)]
    ordered = with_dear_tables_later(task, [others[0], tables, *others[1:]], budget)
    assert ordered.index(tables) == place and [c for c in ordered if c is not tables] == others


def test_the_networks_of_one_candidate_are_fitted_side_by_side() -> None:
    """On as many threads as there are, as the members of a blend."""
    seconds = {}
    for n_threads in (1, 2, 8):
        budget, _ = budget_of(60, n_threads=n_threads)
        seconds[n_threads] = budget.final_s([(tried(NETWORK, 1.0), 0.7), (tried(BOOSTED, 1.0), 0.3)], 1.0)
    assert seconds == pytest.approx({1: 4 * 1.25, 2: 2 * 1.25, 8: 1.25})


def test_a_refit_takes_more_time_than_an_evaluation_alone() -> None:
    budget, hands = budget_of(60)
    members = [(tried(BOOSTED, 10.0), 1.0)]
    assert budget.rows_for(members) == budget.rows_for(members, with_refit=True) == 1
    hands.now = 40.0
    assert budget.rows_for(members) == 1 and budget.rows_for(members, with_refit=True) is None
    without = make_spec(settings=Settings(refit=False))
    budget.task = dataclasses.replace(budget.task, spec=without)
    assert budget.rows_for(members, with_refit=True) == 1


def test_what_is_left_is_estimated_from_the_candidates_so_far() -> None:
    budget, hands = budget_of(60)
    budget.note_best(0.5, 4, [(tried(BOOSTED, 0.1), 1.0)])
    hands.now = 8.0
    final_s = budget.estimate_left_s(4, 0)
    assert budget.estimate_left_s(4, 3) == pytest.approx(final_s + 6.0)
    assert budget.estimate_left_s(4, 400) == pytest.approx(final_s + budget.left_s), "at most what there is"
