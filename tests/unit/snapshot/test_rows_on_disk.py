"""Rows on disk are those in memory: the same values, in the same order, with the same keys."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import StorageError
from postgres_ml.snapshot import on_disk
from postgres_ml.snapshot.file import remove_rows
from postgres_ml.snapshot.on_disk import StoredRows, store
from postgres_ml.snapshot.rows import TrainingRows, load
from support.training import CHURN_COLUMNS, CHURN_TARGET, churn_rows, write_snapshot

N = 3_000


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingRows, StoredRows]:
    folder = tmp_path_factory.mktemp("rows")
    rows = churn_rows(N)
    write_snapshot(folder / "snapshot.bin", [*rows, *rows[:200]])  # some twice
    whole = load(folder / "snapshot.bin", CHURN_COLUMNS, CHURN_TARGET, 7)
    stored = store(folder / "snapshot.bin", folder / "rows", CHURN_COLUMNS, CHURN_TARGET, 7, 450)
    return whole, stored


def test_the_files_hold_the_rows_in_their_order(both: tuple[TrainingRows, StoredRows]) -> None:
    whole, stored = both
    parts = list(stored.frames())
    assert [part.stop - part.start for part, _ in parts] == [450] * 7 + [50]
    pd.testing.assert_frame_equal(pd.concat([frame for _, frame in parts], ignore_index=True), whole.frame)
    assert np.array_equal(stored.index.keys, whole.keys) and np.array_equal(stored.index.target, whole.target)
    assert stored.index.digest == whole.digest and list(stored.index.frame) == []


def test_rows_are_taken_from_several_files(both: tuple[TrainingRows, StoredRows]) -> None:
    whole, stored = both
    places = np.array([0, 3, 449, 450, 2000, len(whole) - 1])
    taken = stored.take(places)
    pd.testing.assert_frame_equal(taken.frame, whole.frame.iloc[places].reset_index(drop=True))
    assert np.array_equal(taken.target, whole.target[places])
    assert len(stored.take(places[:0])) == 0


def test_weights_split_and_dates_come_along(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    moments = (1_700_000_000_000_000 + random.integers(0, 10**12, 500)).tolist()
    columns = (Column("day", "date", "date"), Column("x", "double precision", "number"))
    target = Column("y", "double precision", "number")
    weight = Column("w", "double precision", "number")
    rows = [
        (moment, float(x), float(x > 0), float(1 + (n % 3)))
        for n, (moment, x) in enumerate(zip(moments, random.normal(size=500).round(1), strict=True))
    ]
    stored_as = [(x, y, w) for _, x, y, w in rows]
    path = tmp_path / "snapshot.bin"
    write_snapshot(path, stored_as, split=lambda row: int(row[0] > 1))
    whole = load(path, columns[1:], target, 3, weight)
    stored = store(path, tmp_path / "rows", columns[1:], target, 3, 64, weight)
    frame = pd.concat([frame for _, frame in stored.frames()], ignore_index=True)
    pd.testing.assert_frame_equal(frame, whole.frame)
    for name in ("target", "keys", "weight", "split"):
        assert np.array_equal(getattr(stored.index, name), getattr(whole, name)), name


def test_a_disk_that_is_too_small_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_snapshot(tmp_path / "snapshot.bin", churn_rows(100))
    usage = dataclasses.make_dataclass("Usage", ["free"])
    monkeypatch.setattr(on_disk.shutil, "disk_usage", lambda _: usage(1000))
    with pytest.raises(StorageError, match=r"raise settings: max_memory"):
        store(tmp_path / "snapshot.bin", tmp_path / "rows", CHURN_COLUMNS, CHURN_TARGET, 0, 10)
    assert not (tmp_path / "rows").exists()


def test_what_a_killed_training_leaves_of_the_rows_is_removed(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "snapshot.bin", churn_rows(50))
    store(tmp_path / "snapshot.bin", tmp_path / "rows", CHURN_COLUMNS, CHURN_TARGET, 0, 20)
    (tmp_path / "rowsabc").mkdir()
    (tmp_path / "job.json").write_text("{}")
    remove_rows(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]
