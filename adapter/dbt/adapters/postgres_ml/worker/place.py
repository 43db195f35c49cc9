"""Where a worker works: the server, by DSN, profile or embedded directory, and the folder of its projects."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbt.adapters.postgres_ml.credentials import PostgresMLCredentials
from psycopg import Error as PsycopgError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from postgres_ml import embedded
from postgres_ml.contract.exceptions import SpecError

EMBEDDED_SCHEDULER = "postgres_ml_scheduler"
QUEUE_SCHEMA = "postgres_ml_queue"
#: nothing of callers is found by a bare name
SEARCH_PATH = f"pg_catalog, {QUEUE_SCHEMA}"
#: what libpq calls a parameter, and a profile of dbt-postgres calls it
PROFILE_KEYS = {
    "host": "host", "port": "port", "user": "user", "password": "password", "dbname": "dbname",
    "sslmode": "sslmode", "sslcert": "sslcert", "sslkey": "sslkey", "sslrootcert": "sslrootcert",
    "connect_timeout": "connect_timeout", "keepalives_idle": "keepalives_idle",
}  # fmt: skip
WHOLE = ("port", "connect_timeout", "keepalives_idle")


@dataclass(frozen=True)
class Place:
    """A database and a folder.

    Parameters
    ----------
    server : parameters as libpq names them; of an embedded server without host, port and user
    folder : of the projects that the worker generates, and by default of MLflow's store
    role : to become after connecting; None is the one connected as
    directory : of an embedded server
    options : other keys of the profile, such as mlflow_tracking_uri
    scheduler : connection string of the role that fires schedules; empty where none are fired
    is_pooled : whether a pooler stands between, which takes no start-up options and no LISTEN
    """

    server: Mapping[str, Any]
    folder: Path
    role: str | None = None
    directory: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    is_pooled: bool = False
    scheduler: str = ""

    def scheduler_conninfo(self) -> str:
        """Return the connection string of the role that fires schedules; empty where none are fired."""
        if not self.directory:
            return self.scheduler
        return make_conninfo(self.conninfo(), user=EMBEDDED_SCHEDULER, options="")

    def conninfo(self, path: str = SEARCH_PATH) -> str:
        """Return libpq's connection string; an embedded server is started, and joined."""
        given = dict(self.server)
        if self.directory:
            address = embedded.ensure(self.directory)
            given |= {"host": address.host, "port": address.port, "user": address.user}
            given.setdefault("dbname", address.dbname)
        if not self.is_pooled:
            settings = [f"-c search_path={path.replace(' ', '')}"]
            settings += [f"-c role={self.role}"] if self.role else []
            given["options"] = " ".join(settings)
        return make_conninfo(**{"application_name": "postgres-ml worker", **given})

    def profile(self) -> dict[str, str]:
        """Return the keys of a dbt profile and their values, as texts."""
        if self.directory:
            found: dict[str, Any] = {"embedded": self.directory, "linger": 10}
            found |= {"dbname": self.server["dbname"]} if self.server.get("dbname") else {}
        else:
            found = {PROFILE_KEYS[key]: value for key, value in self.server.items() if key in PROFILE_KEYS}
            found.setdefault("password", "")
        if self.role:
            found["role"] = self.role
        if not self.is_pooled:
            found["search_path"] = SEARCH_PATH
        tracking = {"mlflow_tracking_uri": f"sqlite:///{self.folder / 'mlflow.db'}"}
        return {key: str(value) for key, value in {**tracking, **self.options, **found}.items()}

    @property
    def name(self) -> str:
        """What a log calls it, without a password."""
        if self.directory:
            return self.directory
        given = self.server
        return f"{given.get('host', 'localhost')}:{given.get('port', 5432)}/{given.get('dbname', '')}"


def of_dsn(dsn: str, folder: Path, *, is_pooled: bool = False) -> Place:
    """Return the place of a libpq URL or connection string.

    Raises
    ------
    SpecError
        It is none, or has parameters that a dbt profile has no key for.
    """
    try:
        given = {key: value for key, value in conninfo_to_dict(dsn).items() if value is not None}
    except PsycopgError as error:
        raise SpecError(f"--dsn: {str(error).strip()}") from error
    unknown = sorted(given.keys() - PROFILE_KEYS.keys() - {"application_name"})
    if unknown:
        raise SpecError(
            f"--dsn: {', '.join(unknown)}: dbt-postgres has no such key; there are {', '.join(PROFILE_KEYS)}"
        )
    given.setdefault("host", os.environ.get("PGHOST", "localhost"))
    given.setdefault("user", os.environ.get("PGUSER", "postgres"))
    given.setdefault("dbname", os.environ.get("PGDATABASE", given["user"]))
    given.setdefault("port", os.environ.get("PGPORT", "5432"))
    given.setdefault("password", os.environ.get("PGPASSWORD", ""))
    return Place(server=given, folder=folder, is_pooled=is_pooled)


def of_directory(directory: Path, folder: Path) -> Place:
    """Return the place of an embedded server; MLflow's store lies beside it, as a dbt project's does."""
    uri = f"sqlite:///{directory.parent / 'mlflow.db'}"
    return Place(server={}, folder=folder, directory=str(directory), options={"mlflow_tracking_uri": uri})


def of_credentials(credentials: Any, folder: Path, *, is_pooled: bool = False) -> Place:
    """Return the place of a dbt profile's output.

    Raises
    ------
    SpecError
        It is no output of type postgres_ml.
    """
    if not isinstance(credentials, PostgresMLCredentials):
        raise SpecError(
            f"the profile's output is of type {credentials.type}: "
            "the worker needs one of type postgres_ml, or --dsn"
        )
    names = ("mlflow_tracking_uri", "mlflow_experiment", "server_python_path", "dask_scheduler")
    options = {name: getattr(credentials, name) for name in names if getattr(credentials, name)}
    if credentials.embedded:
        credentials.resolve_embedded(Path.cwd())
        server: dict[str, Any] = {"dbname": credentials.database}
        return Place(server, folder, credentials.role, credentials.embedded, options)
    found = {libpq: getattr(credentials, key, None) for libpq, key in PROFILE_KEYS.items() if key != "dbname"}
    found["dbname"] = credentials.database
    server = {key: value for key, value in found.items() if value not in (None, "")}
    return Place(server, folder, credentials.role, None, options, is_pooled)


def of_profile(
    name: str, target: str | None, profiles_dir: Path, folder: Path, *, is_pooled: bool = False
) -> Place:
    """Return the place of a profile in profiles.yml.

    Raises
    ------
    SpecError
        There is no such profile or target, or it is of another type.
    """
    from argparse import Namespace

    from dbt.config.profile import Profile, read_profile
    from dbt.config.renderer import ProfileRenderer
    from dbt.flags import set_from_args
    from dbt_common.context import set_invocation_context
    from dbt_common.exceptions import DbtBaseException

    set_from_args(Namespace(), {})
    set_invocation_context(os.environ)
    try:
        profile = Profile.from_raw_profiles(
            read_profile(str(profiles_dir)), name, ProfileRenderer({}), target
        )
    except DbtBaseException as error:
        raise SpecError(f"profile {name} in {profiles_dir}: {' '.join(str(error).split())}") from error
    return of_credentials(profile.credentials, folder, is_pooled=is_pooled)
