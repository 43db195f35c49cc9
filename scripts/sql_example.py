"""Starts a worker on the examples' embedded Postgres and lets psql create a model there, by SQL alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(examples: Path) -> int:
    """Run the example; return psql's exit code."""
    command = [str(Path(sys.executable).parent / "postgres-ml")]
    directory = examples / "postgres.pgdata"
    print(f"postgres-ml worker {directory}", flush=True)  # noqa: T201  # this script's output is its purpose
    with subprocess.Popen([*command, "worker", str(directory)], stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        for line in worker.stderr:
            print(line, end="", flush=True)  # noqa: T201
            if "working on" in line:
                break
        try:
            psql = [*command, "psql", str(directory.absolute()), "--quiet"]
            with (examples / "sql" / "churn.sql").open() as pasted:
                return subprocess.run(psql, cwd=examples, stdin=pasted, check=False).returncode
        finally:
            worker.terminate()
            worker.communicate()


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
