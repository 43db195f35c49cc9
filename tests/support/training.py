"""What the training tests share: rows without a database, jobs, and a whole training through a real child."""

from __future__ import annotations

import atexit
import functools
import math
import shutil
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import Settings, TrainingSpec
from postgres_ml.contract.job import TrainingJob
from postgres_ml.contract.model import TrainedModel
from postgres_ml.process.parent import TrainingProcess
from postgres_ml.snapshot.copy import copy_snapshot, describe_query, split_target
from postgres_ml.snapshot.file import SIGNATURE, TRAILER, RowWriter
from postgres_ml.snapshot.query import MISSING
from postgres_ml.verify.parity import ParitySummary, check_parity, predictor

NUMBER = "double precision"


def column(name: str, sql_type: str = NUMBER) -> Column:
    kinds = {"text": "text", "character varying": "text", "boolean": "boolean"}
    return Column(name, sql_type, kinds.get(sql_type, "number"))  # type: ignore[arg-type]


def make_spec(target: str = "target", **changes: Any) -> TrainingSpec:
    name = changes.pop("name", "churn")
    identity = {"unique_id": f"model.shop.{name}", "database": "postgres", "schema": "ml"}
    return TrainingSpec(
        **{"name": name, **identity, "function": f"predict_{name}", "target": target, **changes}
    )


def make_job(directory: Path, features: tuple[Column, ...], target: Column, **changes: Any) -> TrainingJob:
    spec = changes.pop("spec", None) or make_spec(target.name)
    defaults: dict[str, Any] = {
        "directory": str(directory),
        "tracking_uri": f"sqlite:///{directory}/mlflow.db",
        "experiment": "shop",
        "tags": {"dbt.unique_id": spec.unique_id},
        "query": "select 1",
    }
    return TrainingJob(spec=spec, features=features, target=target, **{**defaults, **changes})


def write_snapshot(
    path: Path, rows: list[tuple[Any, ...]], split: Callable[[tuple[Any, ...]], int | None] = lambda row: None
) -> None:
    """Write rows as COPY would; what the columns are follows from the values: the target comes last."""
    values = list(zip(*rows, strict=True)) or [()]
    stored = [("bigint", [MISSING if split(row) is None else split(row) for row in rows])]
    stored += [_stored(column, is_target=index == len(values) - 1) for index, column in enumerate(values)]
    stored.sort(key=lambda column: column[0] == "text")
    with path.open("wb") as file:
        writer = RowWriter(file)
        writer.write(SIGNATURE + bytes(8) + _field(b"0 0 0"))
        for row in zip(*(column for _, column in stored), strict=True):
            cells = [_packed(kind, value) for (kind, _), value in zip(stored, row, strict=True)]
            writer.write(struct.pack("!hi", 1 + len(cells), -1) + b"".join(cells))
        writer.write(TRAILER)
        writer.close()


def _stored(values: tuple[Any, ...], is_target: bool) -> tuple[str, list[Any]]:
    kinds = {type(value) for value in values if value is not None}
    if str in kinds:
        return "text", list(values)
    if is_target and kinds in ({int}, {bool}):
        return "bigint" if kinds == {int} else "boolean", list(values)
    return "float8", [math.nan if value is None else float(value) for value in values]


def _packed(kind: str, value: Any) -> bytes:
    if kind == "text":
        return struct.pack("!i", -1) if value is None else _field(value.encode())[2:]
    return _field(struct.pack({"float8": "!d", "bigint": "!q", "boolean": "!?"}[kind], value))[2:]


def _field(content: bytes) -> bytes:
    return struct.pack("!hi", 1, len(content)) + content


def churn_rows(n: int, seed: int = 0) -> list[tuple[Any, ...]]:
    """(calls, plan, minutes, target): a learnable binary problem with NULLs in every feature."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        calls, minutes = int(random.integers(0, 10)), float(random.normal(180, 50))
        plan = str(random.choice(["basic", "gold", 'it\'s "x"', "日本"]))
        churned = calls > 5 or (plan == "gold" and minutes > 220) or random.random() < 0.05
        missing = random.random(3) < 0.05
        rows.append(
            (
                None if missing[0] else calls,
                None if missing[1] else plan,
                None if missing[2] else minutes,
                "yes" if churned else "no",
            )
        )
    return rows


CHURN_COLUMNS = (column("calls", "integer"), column("plan", "text"), column("minutes"))
CHURN_TARGET = column("target", "text")


def fill_table(cursor: Any, table: str, rows: list[tuple[Any, ...]], types: str) -> None:
    cursor.execute(f"create table {table} ({types})")
    marks = ", ".join(["%s"] * len(rows[0]))
    values = b",".join(cursor.mogrify(f"({marks})", row) for row in rows)
    cursor.execute(b"insert into " + table.encode() + b" values " + values)


@functools.cache
def _empty_store() -> tempfile.TemporaryDirectory[str]:
    """A store with tables and nothing in them, made once: MLflow takes seconds for that, and to be imported."""
    from mlflow.tracking import MlflowClient

    directory = tempfile.TemporaryDirectory(prefix="mlflow-store-")
    atexit.register(directory.cleanup)
    MlflowClient(f"sqlite:///{directory.name}/mlflow.db").search_experiments()
    return directory


def put_store(directory: Path) -> None:
    """Put an empty MLflow store into the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(_empty_store().name) / "mlflow.db", directory / "mlflow.db")


class Recorder:
    """Takes a training's messages."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, level: str, text: str, fields: dict[str, Any] | None = None) -> None:
        self.lines.append((level, text))

    @property
    def text(self) -> str:
        return "\n".join(text for _, text in self.lines)


class Training:
    """A training of a query as the adapter drives it."""

    def __init__(self, connection: Any, sql: str, directory: Path, **changes: Any) -> None:
        self.connection, self.sql, self.messages = connection, sql, Recorder()
        put_store(directory)
        self.directory = directory
        job_changes = {key: changes.pop(key) for key in ("tracking_uri", "experiment") if key in changes}
        self.spec = make_spec(**{"settings": Settings(min_rows=50, max_trials=3), **changes})
        self.cursor = connection.cursor()
        settings = self.spec.settings
        columns = describe_query(self.cursor, sql, settings)
        features, target = split_target(columns, self.spec.target, settings.split_column)
        self.job = make_job(directory, features, target, spec=self.spec, query=sql, **job_changes)
        self.process = TrainingProcess(self.job, self.messages, lambda: False)

    def train(self) -> TrainedModel:
        self.process.start()
        try:
            copy_snapshot(
                self.cursor,
                self.sql,
                self.job.features,
                self.job.target,
                self.directory / "snapshot.bin",
                self.spec.settings,
                self.spec.problem_type,
            )
            self.process.wait_ready()
            return self.process.train()
        except BaseException:
            self.process.abandon("the test failed")
            raise

    def publish(self, trained: TrainedModel) -> ParitySummary:
        """Create the functions and compare them with the pipeline, as the materialization does."""
        from postgres_ml.generate import create_statement

        self.connection.autocommit = False
        for body in trained.deployed.functions:
            self.cursor.execute(create_statement(body, self.spec.schema))
        summary = check_parity(
            self.cursor, self.spec.schema, predictor(trained), Path(trained.deployed.parity_file)
        )
        self.connection.commit()
        self.connection.autocommit = True
        return summary
