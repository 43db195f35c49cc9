"""What a server can run, asked before a training; what runtime python stores there before a publication."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import psycopg2
from dbt.adapters.postgres_ml.catalog.read import StoredVersion

from postgres_ml.contract.exceptions import ArtifactError, SpecError
from postgres_ml.contract.model import ArtifactFile
from postgres_ml.publish import native_extension, server_python


def lacking_runtimes(cursor: Any, runtime: str, embedded: str | None) -> dict[str, str]:
    """Return, for each runtime that the server can't run, why not; installs the language plmodel.

    Parameters
    ----------
    runtime : the config's
    embedded : folder of the embedded server; None of any other

    Raises
    ------
    SpecError
        The config wants one of them.
    """
    reason = server_python.lacking(cursor)
    lacking = {"python": reason} if reason else {}
    if reason and runtime == "python":
        raise SpecError(f"runtime python: {reason}")
    if runtime not in ("auto", "native"):
        return lacking
    reason = native_extension.provide(cursor, Path(embedded) if embedded else None)
    if reason and runtime == "native":
        raise SpecError(f"runtime native: {reason}; runtime: auto takes sql then")
    return {**({"native": reason} if reason else {}), **lacking}


def renew_runtime(cursor: Any, runtime: str, serving: StoredVersion, embedded: str | None) -> str:
    """Bring this release's library to a version that is kept; return what to say of a faster runtime.

    Parameters
    ----------
    runtime : that the config asks for
    embedded : as in `lacking_runtimes`
    """
    directory = Path(embedded) if embedded else None
    if serving.summary["runtime"] == "native":
        native_extension.renew(cursor, directory)
        return ""
    was_lacking = runtime == "auto" and "native" in (serving.digest or {}).get("lacking", ())
    if was_lacking and native_extension.is_at_hand(cursor, directory):
        return "runtime native is available now; --full-refresh trains and publishes in it"
    return ""


def store_artifact(cursor: Any, artifact: ArtifactFile, server_python_path: str | None) -> str:
    """Store the packed pipeline in the catalog, if the server's Python can run it; return its digest.

    Raises
    ------
    ArtifactError
        Another Python or other libraries there, or a file that isn't what the training wrote.
    """
    server_python.check(cursor, artifact, server_python_path)
    content = Path(artifact.path).read_bytes()
    if hashlib.sha256(content).hexdigest() != artifact.sha256:
        raise ArtifactError(f"{artifact.path} has been changed since the training: its digest differs")
    cursor.execute(
        "insert into postgres_ml.artifact (sha256, content) values (%s, %s) on conflict do nothing",
        (artifact.sha256, psycopg2.Binary(content)),
    )
    return artifact.sha256
