"""The command `postgres-ml`: attaches to an embedded server and, for the adapter, trains.

Imports what a command needs when that command runs: `train` alone takes the heavy libraries.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from postgres_ml.contract.exceptions import PostgresMLError

OK, FAILED, NOT_RUNNING = 0, 1, 3  # 3 is what init scripts answer to `status` for a stopped service


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code: 0 well, 1 failed, 2 wrong usage, 3 `server status` of a stopped server.

    Results go to stdout, everything else to stderr.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(given[:1] if given[:1] == ["worker"] else given)
    options.rest = given[1:]
    try:
        code: int = options.run(options)
    except PostgresMLError as error:
        _say(f"postgres-ml: {error}")
        return FAILED
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="postgres-ml", description="Machine-learning models as Postgres functions."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    server = commands.add_parser("server", help="the embedded Postgres in a directory")
    actions = server.add_subparsers(required=True, metavar="action")
    for name, run, text in (
        (
            "url",
            _url,
            "print a URL for any client; starts the server, which then stays up until `stop`",
        ),
        ("start", _start, "start the server; it stays up until `stop`, even without clients"),
        ("stop", _stop, "stop the server at once and end all sessions"),
        ("status", _status, "say whether the server runs (exit code 0) or not (exit code 3)"),
    ):
        action = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        _add_directory(action)
        if run in (_url, _start):
            _add_bindir(action)
        action.set_defaults(run=run)

    psql = commands.add_parser(
        "psql", help="psql on the embedded Postgres in a directory, which is started if need be"
    )
    _add_bindir(psql)
    _add_directory(psql)
    psql.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="arguments for psql")
    psql.set_defaults(run=_psql)

    worker = commands.add_parser("worker", help="train and publish what SQL clients create")
    worker.set_defaults(run=_worker)

    train = commands.add_parser("train", help="train what a job file describes; the adapter calls this")
    what = train.add_mutually_exclusive_group(required=True)
    what.add_argument("job", type=Path, nargs="?", help="a JSON file")
    what.add_argument(
        "--forks", type=int, metavar="FD", help="fork a process for each job that the socket names"
    )
    train.set_defaults(run=_train)

    champion = commands.add_parser(
        "champion", help="move MLflow's alias to what serves; the adapter calls this"
    )
    champion.add_argument("model", help="registered name; the store is that of POSTGRES_ML_TRACKING_URI")
    champion.add_argument("run_id", help="id of the run whose version serves")
    champion.add_argument("model_uri", help="of its pipeline, to register it where it is not; may be empty")
    champion.add_argument("version", help="number of the version that serves")
    champion.set_defaults(run=_champion)
    return parser


def _add_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=_absolute, help="the directory, as `embedded` in the profile")


def _add_bindir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bindir", type=_absolute, help="directory of PostgreSQL's programs; found automatically by default"
    )


def _absolute(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _url(options: argparse.Namespace) -> int:
    from postgres_ml import embedded

    address = embedded.keep(options.directory, bindir=options.bindir)
    sys.stdout.write(f"{address.url}\n")
    _say(f"The server stays up until `postgres-ml server stop {options.directory}`.")
    return OK


def _start(options: argparse.Namespace) -> int:
    from postgres_ml import embedded

    embedded.keep(options.directory, bindir=options.bindir)
    _status(options)
    return OK


def _stop(options: argparse.Namespace) -> int:
    from postgres_ml import embedded

    was_running = embedded.stop(options.directory)
    _say("stopped" if was_running else f"no server was running in {options.directory}")
    return OK


def _status(options: argparse.Namespace) -> int:
    from postgres_ml import embedded

    found = embedded.describe(options.directory)
    if found.address is None:
        sys.stdout.write(f"no server runs in {options.directory}\n")
        return NOT_RUNNING
    until = "until it is stopped" if found.kept else "while it has clients, and a little longer"
    sys.stdout.write(
        f"PostgreSQL {found.version} runs in {options.directory} (process {found.pid}), {until}\n"
        f"  url       {found.address.url}\n"
        f"  programs  {found.bindir} ({found.provider})\n"
    )
    return OK


def _psql(options: argparse.Namespace) -> int:
    """Become psql, which takes over the claim on the server: that stays up as long as psql runs."""
    from postgres_ml import embedded
    from postgres_ml.embedded.libpq import without_libpq
    from postgres_ml.embedded.server import keep_claim_on_exec

    address = embedded.ensure(options.directory, bindir=options.bindir)
    beside_postgres = embedded.describe(options.directory).bindir / "psql"
    psql = str(beside_postgres) if beside_postgres.exists() else shutil.which("psql")
    if psql is None:
        _say(
            f"postgres-ml: no psql in {beside_postgres.parent} or on the PATH; install PostgreSQL's client, "
            f"or use another one with `postgres-ml server url {options.directory}`"
        )
        return FAILED
    keep_claim_on_exec(options.directory)
    # by environment, so that what the user passes on the command line wins
    environment = without_libpq(os.environ)
    environment.update(
        PGHOST=address.host, PGPORT=str(address.port), PGUSER=address.user, PGDATABASE=address.dbname
    )
    sys.stdout.flush()
    return os.execve(psql, [psql, *options.arguments], environment)


def _train(options: argparse.Namespace) -> int:
    child = importlib.import_module("postgres_ml.child")
    if options.forks is None:
        outcome: int = child.main(options.job)
    else:
        tracking = importlib.import_module("postgres_ml.tracking_child")
        remove_rows = importlib.import_module("postgres_ml.snapshot.leftovers").remove_left_rows
        serve = importlib.import_module("postgres_ml.process.forking").serve
        outcome = serve(options.forks, child.main, tracking.main, remove_rows)
    return outcome


def _worker(options: argparse.Namespace) -> int:
    """Run the worker, which builds by dbt: by name, since this package does not know dbt."""
    try:
        command = importlib.import_module("dbt.adapters.postgres_ml.worker.command")
    except ModuleNotFoundError as error:
        if error.name not in ("procrastinate", "psycopg", "psycopg_pool"):
            raise
        _say(f"postgres-ml: the worker needs {error.name}: pip install 'dbt-postgres-ml[worker]'")
        return FAILED
    code: int = command.main(options.rest)
    return code


def _champion(options: argparse.Namespace) -> int:
    from postgres_ml.contract.job import TRACKING_URI

    champion = importlib.import_module("postgres_ml.track.champion")
    uri = os.environ[TRACKING_URI]
    champion.move_champion(uri, options.model, options.run_id, options.model_uri, options.version)
    return OK


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
