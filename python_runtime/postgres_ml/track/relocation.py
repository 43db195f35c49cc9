"""An MLflow store that was moved or copied with its project: its paths follow it.

MLflow's sqlite store keeps absolute locations. Those below a folder `mlartifacts` or `mlruns` that isn't the
one beside the database are another place of the same files: they are rewritten where the files are here, or
no longer there. What is readable where it is recorded, and only there, stays.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

ARTIFACTS = "mlartifacts"
FOLDERS = (ARTIFACTS, "mlruns")  # MLflow's own default experiment: models that release 0.1.0 logged
#: table, key, column of a location
LOCATIONS = (
    ("experiments", "experiment_id", "artifact_location"),
    ("runs", "run_uuid", "artifact_uri"),
    ("logged_models", "model_id", "artifact_location"),
    ("model_versions", "rowid", "source"),
    ("model_versions", "rowid", "storage_location"),
    ("trace_tags", "rowid", "value"),
)


def relocate(database: Path) -> None:
    """Have the store's locations follow the database. Needs the store's lock.

    Parameters
    ----------
    database : sqlite file of a store that MLflow has made or migrated
    """
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        for table, key, column in LOCATIONS:
            if not _has(connection, table, column):
                continue
            for folder in FOLDERS:
                here = database.parent / folder
                for row, uri in list(_elsewhere(connection, table, key, column, here)):
                    connection.execute(f"update {table} set {column} = ? where {key} = ?", (uri, row))


def _has(connection: sqlite3.Connection, table: str, column: str) -> bool:
    return any(row[1] == column for row in connection.execute(f"pragma table_info({table})"))


def _elsewhere(
    connection: sqlite3.Connection, table: str, key: str, column: str, here: Path
) -> Iterator[tuple[object, str]]:
    """Yield the keys of rows to rewrite, each with its new location."""
    found = connection.execute(
        f"select {key}, {column} from {table} where {column} like ?", (f"%/{here.name}%",)
    ).fetchall()
    for row, uri in found:
        recorded = local_path(uri)
        if recorded is None or here.name not in recorded.parts:
            continue
        position = len(recorded.parts) - 1 - recorded.parts[::-1].index(here.name)
        root, below = Path(*recorded.parts[: position + 1]), recorded.parts[position + 1 :]
        if root.resolve() == here.resolve():
            continue  # by the same name, or another name of this folder
        moved = here.joinpath(*below)
        if not below or moved.exists() or not recorded.exists():
            yield row, moved.as_uri() if uri.startswith("file:") else str(moved)


def local_path(uri: str) -> Path | None:
    """Return the path of a file: URI or of an absolute path; None of other schemes."""
    if uri.startswith("/"):
        return Path(uri)
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return None
    return Path(unquote(parts.path))
