"""Trees that are grown by a group: as if one had all rows, and free as soon as the group is left."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError  # another one in Python 3.10
from dataclasses import replace

import numpy as np
import pytest
import xgboost
from postgres_ml.out_of_core.worker_boost import Growth, LeftError, StopTogether, grow_while, start_tracker

PARAMETERS = {"max_depth": 3, "objective": "binary:logistic", "nthread": 1, "base_score": 0.5}
ROUNDS = 5


def rows(n: int, seed: int):
    """Few distinct values, so that all members' bins are those of all rows."""
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 20, size=(n, 3)).astype(np.float32)
    label = (matrix[:, 0] + rng.normal(size=n) > matrix[:, 1]).astype(np.float32)
    return matrix, label, rng.integers(1, 4, size=n).astype(np.float32)


def growth(is_weighted: bool = False, rounds: int = ROUNDS, callbacks=()) -> Growth:
    matrix = {"max_bin": 256, "missing": np.nan, "nthread": 1}
    return Growth(PARAMETERS, rounds, matrix, {}, is_weighted, list(callbacks))


def group(n: int):
    given = start_tracker(n, "127.0.0.1", 0)
    return [{**given, "dmlc_timeout": 3600, "dmlc_task_id": str(number)} for number in range(n)]


def grown(plan: Growth, member, *parts):
    return grow_while(lambda: True, plan, member, list(parts))


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as found:
        yield found


@pytest.mark.parametrize("is_weighted", [False, True])
def test_a_groups_trees_are_those_of_all_rows(pool, is_weighted):
    parts = [rows(700, 1), rows(500, 2), rows(300, 3)]
    shares = [parts[:2], parts[2:]]  # one member has two parts
    plan = growth(is_weighted)
    found = list(pool.map(lambda item: grown(plan, item[0], *item[1]), zip(group(2), shares, strict=True)))
    assert found[1] is None  # one of them travels
    matrix, label, weight = (np.concatenate(items) for items in zip(*parts, strict=True))
    given = {"weight": weight} if is_weighted else {}
    whole = xgboost.train(PARAMETERS, xgboost.QuantileDMatrix(matrix, label, **given), ROUNDS)
    asked = xgboost.DMatrix(rows(400, 4)[0])
    np.testing.assert_allclose(found[0].predict(asked), whole.predict(asked), rtol=1e-5)


def test_all_stop_after_the_same_round(pool):
    plan = growth(rounds=10_000, callbacks=[StopTogether(0.0)])
    shares = [rows(100, 1), rows(100, 2)]
    found = list(pool.map(lambda item: grown(plan, item[0], item[1]), zip(group(2), shares, strict=True)))
    assert found[0].num_boosted_rounds() == 1


def test_who_waits_for_one_that_never_comes_is_free_when_the_group_is_left(pool):
    left = threading.Event()
    held = [rows(100, 1)]
    alone = pool.submit(grow_while, lambda: not left.is_set(), growth(), group(2)[0], held)
    with pytest.raises(NotYetError):  # an hour is its own patience
        alone.result(timeout=1.0)
    assert len(held) == 1
    left.set()
    with pytest.raises(LeftError):
        alone.result()
    assert held == []  # what it waits with holds no rows


def test_boosting_ends_when_it_is_left():
    rounds = []

    class Count(xgboost.callback.TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            rounds.append(epoch)
            return False

    plan = growth(rounds=1_000_000, callbacks=[Count()])
    with pytest.raises(LeftError):
        grow_while(lambda: len(rounds) < 3, plan, group(1)[0], [rows(100, 1)])
    end = time.monotonic() + 30
    while (seen := len(rounds)) and time.monotonic() < end:
        time.sleep(0.5)
        if len(rounds) == seen:
            break
    assert len(rounds) == seen < 1_000_000


def test_what_the_library_says_arrives():
    wrong = replace(growth(), parameters={**PARAMETERS, "max_depth": -3})
    with pytest.raises(xgboost.core.XGBoostError, match="max_depth"):
        grown(wrong, group(1)[0], rows(100, 1))
