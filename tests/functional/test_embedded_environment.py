"""The embedded server is reached whatever libpq's environment says."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from dbt.adapters.contracts.connection import Connection
from dbt.adapters.postgres_ml.connections import PostgresMLConnectionManager
from dbt.adapters.postgres_ml.credentials import PostgresMLCredentials
from dbt_common.helper_types import Port
from postgres_ml import embedded
from support.embedded_servers import PATIENCE_S, RUNTIME, scratch


class Option(ctypes.Structure):
    """Of libpq's PQconninfoOption, what comes before the rest."""

    _fields_ = (
        [(name, ctypes.c_char_p) for name in ("keyword", "envvar", "compiled", "val", "label", "dispchar")]
        + [("dispsize", ctypes.c_int)]
    )  # fmt: skip


# what libpq reads besides the defaults of its parameters
OTHERS = ("PGSERVICEFILE", "PGSYSCONFDIR", "PGLOCALEDIR", "PGDATESTYLE", "PGTZ", "PGGEQO", "PGREALM")


def variables() -> list[str]:
    """Return every variable that the libpq under psycopg2 reads."""
    folder = Path(psycopg2.__file__).parent.parent / "psycopg2_binary.libs"
    files = sorted(folder.glob("libpq*.so*"))
    libpq = ctypes.CDLL(str(files[0]) if files else "libpq.so.5")
    libpq.PQconndefaults.restype = ctypes.POINTER(Option)
    options, found = libpq.PQconndefaults(), set(OTHERS)
    for option in options:
        if option.keyword is None:
            return sorted(found)
        if option.envvar:
            found.add(option.envvar.decode())
    return []


VALUES = {"PGCHANNELBINDING": "require", "PGSSLMODE": "verify-full", "PGREQUIREAUTH": "scram-sha-256"}
VALUES |= {"PGHOST": "192.0.2.1", "PGHOSTADDR": "192.0.2.1", "PGTARGETSESSIONATTRS": "standby"}
VALUES |= {"PGOPTIONS": "-c no_such_setting=1", "PGSSLNEGOTIATION": "direct", "PGGSSENCMODE": "require"}


@pytest.fixture(scope="module")
def directory() -> Iterator[str]:
    made = scratch()
    embedded.ensure(made / "shop.pgdata", linger=5, durability="off")
    yield str(made / "shop.pgdata")
    embedded.stop(made / "shop.pgdata")


def credentials_of(directory: str) -> PostgresMLCredentials:
    return PostgresMLCredentials(
        database="postgres", schema="public", host="embedded", user="postgres", port=Port(5432), password="",
        embedded=directory, linger=5,
    )  # fmt: skip


def test_libpq_has_the_variables_that_are_drawn():
    assert {"PGSERVICE", "PGCHANNELBINDING", "PGSSLMODE", "PGOPTIONS", "PGHOSTADDR", "PGPASSFILE"} <= {
        *variables()
    }


@pytest.mark.parametrize("value", ["x", None])
@pytest.mark.parametrize("name", variables())
def test_dbt_connects_whatever_a_variable_says(directory, monkeypatch, name, value):
    value = value or VALUES.get(name, "1")
    monkeypatch.setenv(name, value)
    connection = Connection(type="postgres_ml", name="test", credentials=credentials_of(directory))
    opened = PostgresMLConnectionManager.open(connection)
    with opened.handle.cursor() as cursor:
        cursor.execute("select current_user, 'Süd'")
        assert cursor.fetchone() == ("postgres", "Süd")
    opened.handle.close()
    assert os.environ[name] == value


def test_a_server_starts_and_psql_runs_with_all_of_them(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(RUNTIME), **dict.fromkeys(variables(), "x"), **VALUES}
    made = scratch() / "new.pgdata"
    outcome = subprocess.run(
        [sys.executable, "-m", "postgres_ml", "psql", str(made), "-XAt", "-c", "select current_user"],
        env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    embedded.stop(made)
    assert outcome.stdout == "postgres\n", outcome.stderr
