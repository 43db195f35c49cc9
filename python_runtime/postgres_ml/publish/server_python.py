"""Whether the server can run Python, and whether it is the Python of the training.

Beside the flow: the adapter calls `lacking` before a training, and `check` in the publishing transaction.
Standard library only.
"""

from __future__ import annotations

import json
from typing import Any

from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.contract.model import ArtifactFile

LANGUAGE = "plpython3u"
PROBE = """
create or replace function pg_temp.postgres_ml_python(path text, modules text[]) returns text
language plpython3u as $probe$
import importlib, json, os, platform, sys
# as in every function of runtime python, and before numpy comes in
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
if path and not os.path.isdir(path):
    return json.dumps({"path": "is no folder that user " + str(os.geteuid()) + " of the server can read"})
if path and path not in sys.path:
    sys.path.insert(0, path)
found = {}
for name in modules:
    try:
        found[name] = getattr(importlib.import_module(name), "__version__", "")
    except ImportError as error:
        found[name] = None
return json.dumps({"python": platform.python_version(), "modules": found})
$probe$"""


def lacking(cursor: Any) -> str:
    """Return '' if functions in PL/Python can be created, and else why they can't.

    Raises
    ------
    psycopg2.Error
        The connection is lost, or its transaction was aborted before.
    """
    cursor.execute(
        "select exists (select from pg_catalog.pg_language where lanname = %s), "
        "exists (select from pg_catalog.pg_available_extensions where name = %s), "
        "(select rolsuper from pg_catalog.pg_roles where rolname = current_user), current_user",
        (LANGUAGE, LANGUAGE),
    )
    exists, offered, is_superuser, user = cursor.fetchall()[0]
    if not exists and not offered:
        return f"the server has no {LANGUAGE} (on Debian: apt-get install postgresql-plpython3-<version>)"
    if not is_superuser:
        return (
            f"user {user} is no superuser, and functions in {LANGUAGE} can do what the server's account can: "
            "only superusers create them"
        )
    return ""


def check(cursor: Any, artifact: ArtifactFile, path: str | None) -> None:
    """Have the language in the database, and compare the server's Python with the one of the training.

    Parameters
    ----------
    path : `server_python_path` of the profile: folder of the libraries on the server; None is its own

    Raises
    ------
    ArtifactError
        Another minor version of Python, a library that is missing or of another version; prints both.
    psycopg2.Error
        The language can't be created.
    """
    cursor.execute(f"create extension if not exists {LANGUAGE}")
    cursor.execute(PROBE)
    cursor.execute("select pg_temp.postgres_ml_python(%s, %s)", (path, list(artifact.modules)))
    found = json.loads(cursor.fetchall()[0][0])
    cursor.execute("drop function pg_temp.postgres_ml_python(text, text[])")
    where = f"in {path}" if path else "(profile key server_python_path names a folder with others)"
    if "path" in found:
        raise ArtifactError(f"runtime python: server_python_path {path} {found['path']}")
    if ".".join(found["python"].split(".")[:2]) != artifact.python:
        raise ArtifactError(
            f"runtime python: the server's Python is {found['python']}, the model was made with "
            f"{artifact.python}: run dbt with the server's minor version"
        )
    problems = []
    for name, wanted in artifact.modules.items():
        have = found["modules"][name]
        if have is None:
            problems.append(f"{name} is missing (needed: {wanted or 'any version'})")
        elif wanted and have != wanted:
            problems.append(f"{name} is {have} on the server, {wanted} here")
    if problems:
        raise ArtifactError(
            f"runtime python: the server's libraries {where} differ from those the model was made with: "
            + "; ".join(problems)
            + ". Install the same versions on the server, or point server_python_path to a site-packages "
            "folder that has them"
        )
