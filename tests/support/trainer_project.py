"""A database of its own with a role that trains in one schema, and a dbt project beside it."""

from __future__ import annotations

import json
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
from postgres_ml.embedded import ServerAddress


class TrainerProject:
    """Made by `make`, removed by `drop`.

    Parameters
    ----------
    name : of the dbt project, and the beginning of the database's name
    schema : the trainer's own
    """

    def __init__(self, server: ServerAddress, folder: Path, name: str, schema: str) -> None:
        self.server, self.folder, self.project, self.schema = server, folder, name, schema
        self.name = f"{name}_{uuid.uuid4().hex[:8]}"
        self.trainer = f"{self.name}_tr"

    def ask(self, query: str, role: str | None = None, database: str | None = None) -> list[tuple[Any, ...]]:
        where = {"host": self.server.host, "port": self.server.port, "user": self.server.user}
        with closing(psycopg2.connect(**where, dbname=database or self.name)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f'set session authorization "{role}"' if role else "select 1")
                cursor.execute(query)
                return cursor.fetchall() if cursor.description else []

    def make(self, **other_targets: str) -> None:
        """Create database, role and project; targets admin and trainer, and others of a superuser by schema."""
        self.ask(f"create database {self.name}", database=self.server.dbname)
        self.ask(
            f"create role {self.trainer} login; create schema {self.schema} authorization {self.trainer}"
        )
        common = {"type": "postgres_ml", "host": self.server.host, "port": self.server.port, "password": ""}
        targets = {"admin": self.schema, "trainer": self.schema, **other_targets}
        outputs = {
            target: {
                **common,
                "dbname": self.name,
                "schema": schema,
                "user": self.trainer if target == "trainer" else self.server.user,
            }
            for target, schema in targets.items()
        }
        profiles = {self.project: {"target": "trainer", "outputs": outputs}}
        (self.folder / "models").mkdir()
        (self.folder / "dbt_project.yml").write_text(f"name: {self.project}\nprofile: {self.project}\n")
        (self.folder / "profiles.yml").write_text(json.dumps(profiles))

    def arguments(self, *given: str, target: str) -> list[str]:
        """Return the arguments of a dbt command on this project."""
        where = ["--project-dir", str(self.folder), "--profiles-dir", str(self.folder), "--target", target]
        return [*given, *where]

    def drop(self) -> None:
        """Remove database and role."""
        self.ask(f"drop database {self.name} with (force)", database=self.server.dbname)
        self.ask(f"drop role {self.trainer}", database=self.server.dbname)
