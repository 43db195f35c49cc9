"""Keeps databases and runs out of git in a project that `dbt init` made.

dbt copies its own starter project, and no adapter can add to it. So what the starter's .gitignore lacks is
added when it first matters: when an embedded database or MLflow's file is made there. Lines that a user
takes out again stay out, and a project without the file gets none.
"""

from __future__ import annotations

import threading
from pathlib import Path

from dbt.adapters.postgres_ml.log import logger

#: what a training leaves in the dbt project without `mlflow_tracking_uri`
RUNS = ("mlflow.db*", "mlartifacts/", "mlruns/")
_lock = threading.Lock()


def keep_out_of_git(project: Path, database: Path | None) -> list[str]:
    """Add to the folder's .gitignore, if it has one, what it lacks; return and log the lines that were added.

    Parameters
    ----------
    database : of an embedded server; None without one, or if it isn't there
    """
    file = project / ".gitignore"
    wanted = [*RUNS]
    if database is not None and database.is_relative_to(project):
        wanted.append(f"{database.relative_to(project).as_posix()}/")
    with _lock:
        try:
            text = file.read_text(encoding="utf-8")
            known = {line.strip().strip("/*") for line in text.splitlines()}
            added = [line for line in wanted if line.strip("/*") not in known]
            if added:
                start = "" if text.endswith("\n") or not text else "\n"
                with file.open("a", encoding="utf-8") as end:
                    end.write(f"{start}\n# dbt-postgres-ml\n" + "".join(f"{line}\n" for line in added))
        except (OSError, UnicodeDecodeError):  # there is none, or nobody may write it: no reason not to build
            return []
    if added:
        logger.info(f"added to {file}: {', '.join(added)}")
    return added
