"""What the parent says when its child dies, and how it prepares the child."""

from __future__ import annotations

import errno
import io
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import mlflow.environment_variables
import pytest
from postgres_ml.contract.exceptions import (
    PostgresMLError,
    TrackingError,
    TrainingProcessError,
    UnsupportedModelError,
)
from postgres_ml.contract.redact import without_secrets
from postgres_ml.process.environment import absolute_uri, environment
from postgres_ml.process.lines import as_told, unstarted_text
from postgres_ml.process.memory import is_shortage
from postgres_ml.process.parent import TrainingProcess, death_text
from postgres_ml.process.processes import ForkedProcess
from postgres_ml.track import run as track
from postgres_ml.track import store as tracking_store
from support.training import CHURN_COLUMNS, CHURN_TARGET, Recorder, make_job


def test_a_kill_is_told_as_what_it_mostly_is() -> None:
    text = death_text(-signal.SIGKILL, ["noise"])
    assert "out of memory" in text and "max_cells" in text and "noise" not in text


def test_a_kill_says_how_much_memory_the_training_had() -> None:
    text = death_text(-signal.SIGKILL, [], 312_400_000)
    assert re.search(r"after using 312 MB of the machine's \d+\.\d GB: most likely", text)
    assert "after using" not in death_text(-signal.SIGKILL, [], None)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (-signal.SIGABRT, "terminate called after throwing an instance of 'std::bad_alloc'"),
        (1, "OpenBLAS error: Memory allocation still failed after 10 retries, giving up."),
        (1, "libgomp: Thread creation failed: Resource temporarily unavailable"),
        (1, "ImportError: libx.so: failed to map segment from shared object"),
        (1, "MemoryError"),
    ],
)
def test_libraries_that_die_for_want_of_memory_are_told_so(code: int, line: str) -> None:
    text = death_text(code, [line], 5_000_000_000)
    assert "not enough memory after using 5.0 GB" in text and "max_cells" in text and line in text


def test_a_want_of_memory_is_known_by_its_errors() -> None:
    for error in (
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("can't start new thread"),
        ValueError("[22:15:25] io.h:362: bad_malloc: Failed to allocate 197776 bytes."),  # xgboost's
    ):
        outer = ValueError("the training failed")
        outer.__cause__ = error
        assert is_shortage(error) and is_shortage(outer)
    assert not is_shortage(OSError(28, "No space left on device")) and not is_shortage(ValueError("a"))


def test_another_death_shows_signal_or_code_and_the_last_lines() -> None:
    assert death_text(-signal.SIGSEGV, ["Fatal Python error"]) == (
        "the training process was ended by SIGSEGV\nFatal Python error"
    )
    assert "exit code 3" in death_text(3, [])


def test_a_process_that_can_not_be_started_says_why_and_the_cure_where_it_is_for_want_of_room() -> None:
    text = unstarted_text(BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"))
    assert text.startswith("the training process can't be started: Resource temporarily unavailable. ")
    assert "`ulimit -u`" in text and "run fewer threads" in text
    text = unstarted_text(FileNotFoundError(errno.ENOENT, "No such file or directory"))
    assert text == "the training process can't be started: No such file or directory"


def test_a_process_of_which_nobody_knows_more_shows_its_last_lines(tmp_path: Path) -> None:
    """The process that was to fork it was killed, and its end has not been noted yet."""
    process = TrainingProcess(make_job(tmp_path, CHURN_COLUMNS, CHURN_TARGET), Recorder(), lambda: False)
    process._process = ForkedProcess()
    process._process.close_ends()
    process._process.stdin.close()
    process._last_lines = ["Killed"]
    error = process._death()
    assert isinstance(error, TrainingProcessError)
    assert str(error) == "the training process didn't start\nKilled"
    process._process.let_go()


def test_a_child_that_dies_within_a_line_has_ended(tmp_path: Path) -> None:
    """Nobody would see the end otherwise, and the build would wait for ever."""
    process = TrainingProcess(make_job(tmp_path, CHURN_COLUMNS, CHURN_TARGET), Recorder(), lambda: False)
    process._read_events(io.BytesIO(b'{"event": "ready"}\n{"event": "trai'))
    found = [process._events.get_nowait()["event"] for _ in range(2)]
    assert found == ["ready", "end"] and process._events.empty()


def test_what_was_never_forked_has_no_group_to_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Group 0 is that of dbt's own process."""
    killed: list[int] = []
    monkeypatch.setattr("os.killpg", lambda group, _: killed.append(group))
    process = ForkedProcess()
    process.close_ends()
    process.tell(0, 1)
    process.kill_group()
    assert killed == [] and process.poll() == 1
    process.let_go()


def test_errors_keep_their_class_and_text_across_processes() -> None:
    error = as_told("UnsupportedModelError", "LinearSVC: can't be compiled")
    assert type(error) is UnsupportedModelError and str(error) == "LinearSVC: can't be compiled"
    assert type(as_told("NoSuchError", "x")) is TrainingProcessError


def test_paths_in_tracking_uris_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_uri("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert absolute_uri("sqlite:////a/mlflow.db") == "sqlite:////a/mlflow.db"
    assert absolute_uri("./mlruns") == f"{tmp_path}/mlruns"
    for uri in ("http://mlflow:5000", "postgresql://u@h/d", "databricks", "file:///x"):
        assert absolute_uri(uri) == uri


def test_the_child_has_pools_of_one_thread_and_calls_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "relative")
    found = environment()
    assert found["OMP_NUM_THREADS"] == found["OPENBLAS_NUM_THREADS"] == "1"
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert found["PYTHONPATH"] == str(tmp_path / "relative")


def test_a_job_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    job = make_job(tmp_path / "missing", CHURN_COLUMNS, CHURN_TARGET)
    with pytest.raises(PostgresMLError, match=r"job can't be written.*No such file"):
        TrainingProcess(job, Recorder(), lambda: False).start()


def test_postgres_stores_use_the_driver_that_is_installed() -> None:
    assert tracking_store.mlflow_uri("postgresql://u:p@h/d") == "postgresql+psycopg2://u:p@h/d"
    assert tracking_store.mlflow_uri("postgres://u@h/d") == "postgresql+psycopg2://u@h/d"
    assert tracking_store.mlflow_uri("http://h") == "http://h"


def test_passwords_are_not_shown() -> None:
    assert without_secrets("postgresql://me:s3c@h/d") == "postgresql://me:***@h/d"
    assert without_secrets("at http://me:p@ss:w@h:5000/x and") == "at http://me:***@h:5000/x and"
    assert without_secrets("https://dapi0123@h/api") == "https://***@h/api"
    assert without_secrets("http://h?token=abc&a=1") == "http://h?token=***&a=1"
    assert without_secrets("host=h password='a b' user=u") == "host=h password=*** user=u"
    for harmless in ("http://h:5000", "mail me@h.org", "sqlite:////a/b@c/m.db", "select a = 1"):
        assert without_secrets(harmless) == harmless


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me@server:hunter2@h/d",
        "postgresql://me:hun/ter2@h/d",
        "mysql+pymysql://me:hunter2/@h/d",
        "https://me@corp:hunter2@h:5000/x",
        "postgresql://h/d?user=me&password=hunter2",
        "postgresql://me@h/d?sslpassword=hunter2",
        "mssql+pyodbc:///?odbc_connect=Driver%3D%7BSQL%7D%3BPwd%3Dhunter2",
        "host=h password = 'hunter2'",
        r"host=h password='a\' hunter2' user=u",
        "Server=h;Pwd=hunter2;Database=d",
    ],
)
def test_no_spelling_shows_a_password(text: str) -> None:
    """As SQLAlchemy, libpq and ODBC read them: a name may hold an @, a password a slash."""
    shown = without_secrets(f"MLflow at {text} can't be used")
    assert "ter2" not in shown and "***" in shown and shown.endswith(" can't be used")


def test_a_directory_in_the_place_of_the_store_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(TrackingError, match=r"can't be written: Is a directory.*mlflow_tracking_uri"):
        tracking_store.open_experiment(f"sqlite:///{tmp_path}/mlflow.db", "shop")


def test_a_store_below_a_file_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="can't be written"):
        tracking_store.open_experiment(f"sqlite:///{tmp_path}/file/mlflow.db", "shop")


@pytest.mark.parametrize(
    "uri",
    ["sqlite:////proc/nowhere/mlflow.db", "postgresql://nobody:s3c@127.0.0.1:9/none", "file:///tmp/mlruns"],
)
def test_a_store_that_can_not_be_opened_is_told_at_once(uri: str, tmp_path: Path) -> None:
    if uri.startswith("file:") and not hasattr(mlflow.environment_variables, "MLFLOW_ALLOW_FILE_STORE"):
        pytest.skip("this release of MLflow opens stores of files")
    job = make_job(tmp_path, CHURN_COLUMNS, CHURN_TARGET, tracking_uri=uri)
    with pytest.raises(
        TrackingError, match=r"(?s)MLflow.* can't be (used|written).*mlflow_tracking_uri"
    ) as caught:
        track.TrackedRun.open(job)
    assert "s3c" not in str(caught.value)


def test_dbt_s_side_imports_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys, json; import postgres_ml.process.parent, postgres_ml.snapshot.copy, postgres_ml.verify.parity, "
        "postgres_ml.fit.hyperparameters; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", code]))
    assert not {"numpy", "pandas", "sklearn", "xgboost", "mlflow", "pyarrow", "sqlalchemy"} & set(loaded)
