"""The lock by which two builds of one model in a checkout take turns."""

from pathlib import Path

import pytest
from postgres_ml.contract.file_lock import FileLock


def test_one_holds_it_and_the_next_gets_it_when_it_is_released(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "model.lock"), FileLock(tmp_path / "model.lock")
    assert first.acquire(0.0)
    assert not second.acquire(0.0)
    assert not second.acquire(0.1)
    first.release()
    assert second.acquire(0.0)
    second.release()


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "missing" / "model.lock")
