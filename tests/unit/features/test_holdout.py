"""Which rows are held out: a fraction, what a column marks, what comes after a point in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.features.holdout import holdout_of
from postgres_ml.snapshot.query import snapshot_query
from postgres_ml.snapshot.rows import TrainingRows, holdout_mask, load
from support.training import CHURN_COLUMNS, CHURN_TARGET, churn_rows, column, write_snapshot

BY_COLUMN = Settings(holdout_column="is_test")
BY_TIME = Settings(holdout_time="day", holdout_after="2020-01-01")


def rows_of(path: Path, split: Any) -> TrainingRows:
    write_snapshot(path, churn_rows(200), split)
    return load(path, CHURN_COLUMNS, CHURN_TARGET)


def test_a_fraction_is_chosen_by_the_rows_content(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.csv", lambda row: None)
    assert rows.split is None
    assert np.array_equal(holdout_of(rows, Settings(holdout=0.3), []), holdout_mask(rows.keys, 0.3))


def test_marked_rows_are_held_out_and_stay_marked(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "a.csv", lambda row: int(row[0] == 3))
    messages: list[str] = []
    mask = holdout_of(rows, BY_COLUMN, messages)
    assert np.array_equal(mask, rows.frame["calls"].to_numpy() == 3)
    assert messages == [f'rows with a true "is_test" are held out: {mask.sum()} of 200']
    assert np.all(rows.take(mask).split == 1)


def test_more_rows_held_out_than_left_are_noticed(tmp_path: Path) -> None:
    messages: list[str] = []
    holdout_of(rows_of(tmp_path / "a.csv", lambda row: int(row[0] != 3)), BY_TIME, messages)
    assert messages[-1].startswith('column "day" holds out more rows') and "'after'" in messages[-1]


@pytest.mark.parametrize(
    ("split", "settings", "cause"),
    [
        (lambda row: 0, BY_TIME, 'no row is held out, because none has "day" >= 2020-01-01'),
        (
            lambda row: 1,
            BY_TIME,
            "no row is left to train on, because all 200 have .*choose a later time in `after`",
        ),
        (lambda row: 1, BY_COLUMN, "mark some of them with 0"),
        (
            lambda row: 7,
            BY_COLUMN,
            r'column "is_test" is neither 0 nor 1 in 200 of 200 rows \(the first: 7\)',
        ),
    ],
)
def test_a_side_without_rows_is_refused(tmp_path: Path, split: Any, settings: Settings, cause: str) -> None:
    with pytest.raises(TrainingDataError, match=cause):
        holdout_of(rows_of(tmp_path / "a.csv", split), settings, [])


def test_the_side_is_asked_of_the_database() -> None:
    def text(settings: Settings) -> str:
        return snapshot_query("select 1", (column("a"),), column("b"), settings, None, 160000)

    by_time = """coalesce(query."day" >= '2020-01-01 00:00:00+00:00', false)::integer::bigint as split"""
    assert by_time in text(BY_TIME)
    assert 'coalesce(query."is_test"::integer, 0)::bigint as split' in text(BY_COLUMN)
    assert "(-9223372036854775808)::bigint as split" in text(Settings())
    with pytest.raises(ValueError, match="isoformat"):  # whatever it is, it is not pasted into the query
        text(Settings(holdout_time="t", holdout_after="it's"))
