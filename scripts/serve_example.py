"""Builds the example of brought models, serves one with `mlflow models serve`, and predicts with it from SQL.

The functions that call a service run in PL/Python, which the embedded server lacks: a server of the system's
own PostgreSQL is started for it, in the project's folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg2
from postgres_ml import embedded

PATIENCE_S = 180.0
PLPYTHON = ("lib/postgresql/*/lib/plpython3.so", "lib/postgresql/plpython3.so", "lib64/pgsql/plpython3.so")
MODEL = "models:/byo.wine_cultivar@champion"
COMPARED = """
select i.wine_id, i.cultivar, i.by_own_code, i.by_registry, s.prediction as by_service
from byo.wines_identified as i join byo.wines_served as s using (wine_id)
order by wine_id % 60, wine_id limit 9
"""
CARDS = """
select model_name, runtime, metric, round(score::numeric, 4) as score
from postgres_ml.model_version where is_serving order by model_name
"""
AGREEMENT = """
select count(*), count(*) filter (where s.prediction = i.by_own_code)
from byo.wines_identified as i join byo.wines_served as s using (wine_id)
"""


def say(text: str) -> None:
    """Print a line: this script's output is its purpose."""
    print(text, flush=True)  # noqa: T201


def find_server() -> Path | None:
    """Return the folder of a PostgreSQL's binaries that comes with PL/Python; None if there is none."""
    if given := os.environ.get("POSTGRES_BINDIR"):
        return Path(given)
    for pattern in PLPYTHON:
        for library in sorted(Path("/usr").glob(pattern), reverse=True):
            if (library.parents[1] / "bin" / "postgres").exists():
                return library.parents[1] / "bin"
    return None


def build(project: Path, *arguments: str, bindir: Path) -> None:
    """Run dbt build on the server with PL/Python.

    Raises
    ------
    subprocess.CalledProcessError
        A model or a test fails.
    """
    environment = {
        **os.environ,
        "POSTGRES_BINDIR": str(bindir),
        "SERVER_PYTHON_PATH": sysconfig.get_path("purelib"),
    }
    dbt = Path(sys.executable).parent / "dbt"
    subprocess.run(
        [str(dbt), "build", "--target", "plpython", *arguments], cwd=project, env=environment, check=True
    )


@contextlib.contextmanager
def served(project: Path, model: str) -> Iterator[str]:
    """Serve a registered model on loopback while the context lasts; give its address.

    Raises
    ------
    RuntimeError
        It doesn't answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = ["-m", "mlflow", "models", "serve", "--model-uri", model, "--env-manager", "local"]
    # MLflow starts uvicorn, of the same virtual environment, through a shell
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, *command, "--host", "127.0.0.1", "--port", port],
        cwd=project,
        env={**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": f"sqlite:///{project / 'mlflow.db'}"},
        start_new_session=True,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/ping", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):  # urllib's errors are OSErrors
            urllib.request.urlopen(url, timeout=2).close()
            return
        time.sleep(0.5)
    raise RuntimeError(f"mlflow models serve doesn't answer (exit status {process.poll()})")


def main(project: Path) -> int:
    """Build, serve, call and show; return the exit code."""
    bindir = find_server()
    if bindir is None:
        say("This example needs a PostgreSQL with PL/Python, such as Debian's:")
        say("  apt-get install postgresql-15 postgresql-plpython3-15")
        say("The models that need none: cd models_examples/bring_your_own && dbt build")
        return 1
    build(project, "--select", "+path:models", bindir=bindir)
    with served(project, MODEL) as url:
        say(f"\n{MODEL} is served at {url}\n")
        variables = json.dumps({"service": url})
        build(project, "--select", "cultivar_service", "wines_served", "--vars", variables, bindir=bindir)
        address = embedded.ensure(project / "plpython.pgdata", bindir=bindir)
        connection = psycopg2.connect(
            host=address.host, port=address.port, user=address.user, dbname=address.dbname
        )
        with connection, connection.cursor() as cursor:
            for title, query in (("The cards:", CARDS), ("Wines, by three functions:", COMPARED)):
                cursor.execute(query)
                say(f"\n{title}\n\n  " + "  ".join(column.name for column in cursor.description))
                for row in cursor.fetchall():
                    say("  " + "  ".join(map(str, row)))
            cursor.execute(AGREEMENT)
            n_rows, n_same = cursor.fetchone()
        connection.close()
    say(f"\nThe service predicts what the function in the database predicts for {n_same} of {n_rows} wines.")
    return 0 if n_rows == n_same > 0 else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
