"""The lock by which two builds of one model in a checkout take turns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from dbt.adapters.postgres_ml.build.lock import lock_folder
from dbt_common.exceptions import DbtRuntimeError
from postgres_ml.contract.exceptions import TrainingCancelledError

HOLD = "import sys, filelock; filelock.FileLock(sys.argv[1]).acquire(); print('held', flush=True); sys.stdin.read()"


def test_one_holds_it_and_the_next_gets_it_when_it_is_released(tmp_path: Path) -> None:
    waited: list[str] = []
    first = lock_folder("m", tmp_path / "m", lambda: waited.append("first"), lambda: True)
    with pytest.raises(TrainingCancelledError, match="while waiting for another build"):
        lock_folder("m", tmp_path / "m", lambda: waited.append("second"), lambda: True)
    assert waited == ["second"]
    first.release()
    lock_folder("m", tmp_path / "m", lambda: waited.append("third"), lambda: True).release()
    assert waited == ["second"]


def test_a_process_that_dies_leaves_no_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "m.lock")]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None and holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"

    def kill() -> None:
        holder.kill()
        holder.wait()

    lock_folder("m", tmp_path / "m", kill, lambda: False).release()
    holder.stdin.close()
    holder.stdout.close()


def test_a_lock_that_can_not_be_written_names_the_model_and_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DbtRuntimeError, match=r"m: .*file/m\.lock can't be written"):
        lock_folder("m", tmp_path / "file" / "m", lambda: None, lambda: False)
