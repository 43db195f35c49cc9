"""The command `postgres-ml worker`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dbt.adapters.postgres_ml.worker.place import Place, of_directory, of_dsn, of_profile
from dbt.adapters.postgres_ml.worker.service import Options, serve
from dbt.adapters.postgres_ml.worker.setup import prepare
from dbt.adapters.postgres_ml.worker.status import status

from postgres_ml.contract.exceptions import SpecError


def main(arguments: Sequence[str]) -> int:
    """Run a worker, or say how workers do; the exit code.

    Raises
    ------
    SpecError
        The database can't be worked on, with the reason and the cure.
    """
    options = parser().parse_args(arguments)
    is_status = options.where == "status"
    _log(options.log_format, logging.WARNING if is_status else logging.INFO)
    place = replace(
        _place(options, options.directory if is_status else options.where), scheduler=options.scheduler_dsn
    )
    if is_status:
        return status(place, options.stalled)
    how = Options(
        options.concurrency,
        options.grace,
        options.heartbeat,
        options.stalled,
        options.until_idle,
        options.keep_jobs,
    )
    place.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    serve(place, how, lambda: prepare(place))
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what the command takes."""
    made = argparse.ArgumentParser(
        prog="postgres-ml worker",
        description="Train and publish what SQL clients create by postgres_ml.create_model.",
        epilog="`postgres-ml worker status …` says how a database's workers do; exit code 3 if none lives.",
    )
    made.add_argument("where", nargs="?", help="the directory of an embedded server; or `status`")
    made.add_argument("directory", nargs="?", help="after `status`: the directory of an embedded server")
    made.add_argument("--dsn", help="a libpq URL or connection string of the worker's role")
    made.add_argument("--profile", help="a profile of profiles.yml, with an output of type postgres_ml")
    made.add_argument("--target", help="the profile's output; its default by default")
    made.add_argument("--profiles-dir", type=Path, default=None, help="the folder of profiles.yml")
    made.add_argument("--folder", type=Path, help="the worker's own; ./postgres-ml-worker by default")
    made.add_argument(
        "--scheduler-dsn", default="", help="connection string of the role that fires schedules"
    )
    made.add_argument("--concurrency", type=_positive, default=1, help="trainings at once (default 1)")
    made.add_argument(
        "--grace", type=float, default=30.0, help="seconds trainings may go on after SIGTERM (30)"
    )
    made.add_argument(
        "--no-listen", action="store_true", help="poll each second: for a pooler in transaction mode"
    )
    made.add_argument("--log-format", choices=("text", "json"), default="text")
    made.add_argument("--heartbeat", type=float, default=5.0, help="seconds between two heartbeats (5)")
    made.add_argument(
        "--stalled", type=float, default=20.0, help="seconds without one until a worker is dead (20)"
    )
    made.add_argument(
        "--keep-jobs", type=_positive, default=30, help="days after which jobs that ended are forgotten (30)"
    )
    made.add_argument("--until-idle", action="store_true", help="end when no job is left")
    return made


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _place(options: argparse.Namespace, directory: str | None) -> Place:
    given = [value for value in (directory, options.dsn, options.profile) if value]
    if len(given) != 1:
        raise SpecError("name one database: a directory of an embedded server, --dsn or --profile")
    if directory:
        path = Path(directory).expanduser().absolute()
        return of_directory(
            path, (options.folder or path.parent / "target" / "postgres_ml_worker").absolute()
        )
    folder = (options.folder or Path("postgres-ml-worker")).absolute()
    if options.dsn:
        return of_dsn(options.dsn, folder, is_pooled=options.no_listen)
    profiles = options.profiles_dir or (Path.cwd() if Path("profiles.yml").exists() else Path.home() / ".dbt")
    return of_profile(options.profile, options.target, profiles, folder, is_pooled=options.no_listen)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, message, and the fields of a job."""

    FIELDS = ("job", "model", "attempt", "outcome", "seconds")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        said |= {
            name: getattr(record, name)
            for name in self.FIELDS
            if isinstance(getattr(record, name, None), (int, float, str))
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


def is_worth_saying(record: logging.LogRecord) -> bool:
    """Return whether a line is this worker's own, or procrastinate's of a job that raised an error.

    What else matters of procrastinate, this worker says itself.
    """
    is_of_queue = record.name.partition(".")[0] == "procrastinate"
    return not is_of_queue or getattr(record, "action", None) == "job_error"


def _log(form: str, level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter() if form == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    )
    handler.addFilter(is_worth_saying)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("postgres_ml").setLevel(level)
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
