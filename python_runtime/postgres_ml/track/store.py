"""Opens the MLflow store of a tracking URI quickly, or says at once why it can't be opened.

MLflow retries an unreachable database 15 times with doubled pauses, an hour in all, and a server for minutes.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import mlflow
import sqlalchemy
from filelock import FileLock, Timeout
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from postgres_ml.contract.exceptions import TrackingError
from postgres_ml.track.relocation import ARTIFACTS, local_path, relocate

SQLITE = "sqlite:///"
UNFINISHED = ".unfinished"
HALF_MADE = ("already exists", "duplicate column")
ANSWER_S = 15  # for a database to let MLflow in
#: what drivers call that; those that read on without a limit after they have connected have more names
PATIENCE = {
    "psycopg2": ("connect_timeout",),
    "psycopg": ("connect_timeout",),
    "pg8000": ("timeout",),
    "pymysql": ("connect_timeout", "read_timeout", "write_timeout"),
    "mysqldb": ("connect_timeout", "read_timeout", "write_timeout"),
    "mysqlconnector": ("connection_timeout",),
    "pyodbc": ("timeout",),
    "pymssql": ("login_timeout", "timeout"),
}
OPENING = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(ANSWER_S)}


def open_experiment(tracking_uri: str, experiment: str) -> tuple[MlflowClient, str]:
    """Return a client and the experiment's id; both are created where they don't exist.

    The experiment of an sqlite store keeps its artifacts beside the database, in `mlartifacts`; a store that
    was moved with its project has its locations rewritten.

    Raises
    ------
    TrackingError
        The store can't be written, or the experiment's artifacts are no longer where it keeps them.
    mlflow.exceptions.MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError
    """
    uri, database = mlflow_uri(tracking_uri), sqlite_file(tracking_uri)
    if database is None:
        with _QUICK_FAILURE:
            _check_database(uri)
            return _open(uri, experiment, None)
    with _locked_tables(database):
        relocate(database)
        return _open(uri, experiment, database.parent / ARTIFACTS)


def make_tables(tracking_uri: str) -> None:
    """Create the tables of an sqlite store, which takes seconds, before there is a run to open.

    Raises
    ------
    TrackingError
        The store can't be written.
    """
    database = sqlite_file(tracking_uri)
    if database is not None:
        with contextlib.suppress(Timeout), _locked_tables(database, patience_s=0):  # another one is at it
            pass


@contextlib.contextmanager
def _locked_tables(database: Path, patience_s: float = -1) -> Iterator[None]:
    """Hold the lock of an sqlite store, whose tables are made or migrated first.

    MLflow isn't safe when several processes create tables or the experiment at the same time.

    Parameters
    ----------
    patience_s : for the lock; negative is for ever

    Raises
    ------
    filelock.Timeout
    """
    _check_writable(database)
    with _lock(database).acquire(timeout=patience_s):
        if database.stat().st_size == 0:
            _make_whole(database)
        _migrate(database)
        yield


def _migrate(database: Path) -> None:
    """Have MLflow bring the tables up to date."""
    try:
        MlflowClient(_sqlite_uri(database)).search_experiments(max_results=1)
    except sqlalchemy.exc.OperationalError as error:
        if not any(words in str(error) for words in HALF_MADE):
            raise
        raise TrackingError(
            f"MLflow's store {SQLITE}{database} has some of its tables only: a process was killed while it "
            "made or migrated them, and MLflow can't go on from there. Put a backup in its place, or move "
            f"the file {database} away to begin a new store; models that are published stay as they are"
        ) from error


def _make_whole(database: Path) -> None:
    """Make a new store under another name, then give it its own: it is there whole or not at all.

    MLflow makes tables in dozens of steps, and a store that a killed process left between two of them can
    never be opened again. Needs the lock.
    """
    for left in database.parent.glob(f"{database.name}.*{UNFINISHED}*"):
        left.unlink()
    # a name of its own: MLflow remembers in this process which stores have their tables
    unfinished = database.with_name(f"{database.name}.{uuid.uuid4().hex}{UNFINISHED}")
    MlflowClient(_sqlite_uri(unfinished)).search_experiments(max_results=1)
    unfinished.replace(database)


def _lock(database: Path) -> FileLock:
    return FileLock(database.with_name(database.name + ".lock"))


def _open(uri: str, experiment: str, artifacts: Path | None) -> tuple[MlflowClient, str]:
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        location = None if artifacts is None else artifacts.as_uri()
        try:
            return client, client.create_experiment(experiment, artifact_location=location)
        except MlflowException:  # another process was quicker
            found = client.get_experiment_by_name(experiment)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"the MLflow experiment {experiment!r} is deleted: restore it (mlflow experiments restore "
            f"--experiment-id {found.experiment_id}) or set mlflow_experiment in the profile"
        )
    _check_location(client, found.experiment_id)
    return client, found.experiment_id


def _check_location(client: MlflowClient, experiment_id: str) -> None:
    """Check that an experiment's artifacts, if earlier runs have any, are still where it keeps them.

    MLflow would make the folder anew, wherever that is, and the old artifacts would stay out of reach.

    Raises
    ------
    TrackingError
    """
    experiment = client.get_experiment(experiment_id)
    path = local_path(experiment.artifact_location or "")
    if path is None or path.exists():
        return
    finished = client.search_runs(
        [experiment_id], "attributes.status = 'FINISHED'", ViewType.ALL, max_results=1
    )
    if finished:
        raise TrackingError(
            f"the MLflow experiment {experiment.name!r} keeps its artifacts in {path}, which no longer "
            "exists. Move the folder back to that place, or set another mlflow_experiment in the profile"
        )


def connect(tracking_uri: str) -> MlflowClient:
    """Return a client of a store that was opened before and may have gone since.

    Raises
    ------
    TrackingError
        The store is gone, or can't be written.
    mlflow.exceptions.MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError
    """
    uri, database = mlflow_uri(tracking_uri), sqlite_file(tracking_uri)
    mlflow.set_tracking_uri(uri)
    if database is not None:
        if not database.exists():  # a client would make an empty one
            raise TrackingError(f"MLflow's store {SQLITE}{database} is gone")
        _check_writable(database)
        with _lock(database):
            relocate(database)
        return MlflowClient(uri)
    with _QUICK_FAILURE:
        _check_database(uri)  # a client would try again for an hour
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


def _check_database(uri: str) -> None:
    """Connect once: a database that is not there, or never answers, is told in seconds."""
    if urlsplit(uri).scheme.partition("+")[0] in ("postgresql", "mysql", "mssql"):
        url = sqlalchemy.make_url(uri)
        names = PATIENCE.get(url.get_driver_name(), ())
        patience = {name: ANSWER_S for name in names if name not in url.query}  # a user's own values win
        sqlalchemy.create_engine(url, connect_args=patience).connect().close()


def sqlite_file(tracking_uri: str) -> Path | None:
    """Return the file of an sqlite store; None of another one.

    What follows the prefix is the path as it is: a project's folder may have `%20` or `?` in its name.
    """
    return Path(tracking_uri.removeprefix(SQLITE)) if tracking_uri.startswith(SQLITE) else None


def mlflow_uri(tracking_uri: str) -> str:
    """Return the URI as MLflow and SQLAlchemy read it.

    Postgres is reached by dbt-postgres' own driver: SQLAlchemy takes `postgresql:` for psycopg 3.

    Raises
    ------
    TrackingError
        No URI of SQLAlchemy's means this file.
    """
    database = sqlite_file(tracking_uri)
    if database is not None:
        return _sqlite_uri(database)
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", tracking_uri)


def _sqlite_uri(database: Path) -> str:
    """Return the URI of a file; `%20` and `?` mean something else in one, if SQLAlchemy is 2.1 or newer.

    Slashes are quoted as well: MLflow makes the folder of what it takes for the path, the URI's text, and
    that is the root then.
    """
    absolute = str(database.absolute())
    for path in (str(database), "/" + quote(absolute.removeprefix("/"), safe="")):
        if sqlalchemy.make_url(SQLITE + path).database in (str(database), absolute):
            return SQLITE + path
    raise TrackingError(
        f"MLflow can't open a store at {database}: the installed SQLAlchemy takes a part of this path for "
        "something else. Rename the folder, or set mlflow_tracking_uri in the profile."
    )


def _check_writable(database: Path) -> None:
    """Fail before MLflow does: it would retry for an hour."""
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with database.open("ab"):
            pass
        (database.parent / ARTIFACTS).mkdir(exist_ok=True)
        if not os.access(database.parent / ARTIFACTS, os.W_OK):
            raise PermissionError(13, "no permission to write", str(database.parent / ARTIFACTS))
    except OSError as error:
        raise TrackingError(
            f"MLflow's store {SQLITE}{database} can't be written: {error.strerror} ({error.filename}). "
            "Set mlflow_tracking_uri in the profile."
        ) from error


class _QuickFailure:
    """MLflow reads these variables at each request; a user's own win. Two threads may be inside at once."""

    def __init__(self) -> None:
        self._lock, self._n_inside, self._added = threading.Lock(), 0, dict[str, str]()

    def __enter__(self) -> None:
        with self._lock:
            if not self._n_inside:
                self._added = {name: value for name, value in OPENING.items() if name not in os.environ}
                os.environ.update(self._added)
            self._n_inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if not self._n_inside:
                for name in self._added:
                    os.environ.pop(name, None)


_QUICK_FAILURE = _QuickFailure()
