"""A function is replaced again and again while 16 clients call it: no error, and no answer of two halves.

The clients ask in every way that can notice a replacement: plain text, a prepared statement, a view, a generic plan,
a new connection. The function is replaced by real builds and, in between, by rollbacks, which publish by the same
statements.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from faults_project import SCHEMA, Project, Server

N_CLIENTS = 16
QUERIES = {
    "text": f"select {SCHEMA}.predict_trees(5, 5)",
    "many rows": f"select {SCHEMA}.predict_trees(5, i % 2 + 5) from generate_series(1, 20) as i",
    "prepared": "execute call",
    "view": f"select y from {SCHEMA}.scores",
    "both functions": f"select {SCHEMA}.predict_trees(5, 5), {SCHEMA}.predict_trees(5, 6)",
}
# a forest large enough that its SQL is made of parts, each a function of its own
TREES = """
{{ config(materialized='create_model', target='y', problem_type='regression', auto=false, runtime='sql',
          model_type='xgboost', hyperparameters={'num_round': 40, 'max_depth': 5, 'learning_rate': 0.5}) }}
select i as a, i % 7 as b, 10000.0 * {{ var('generation') }} + i % 40 + i % 7 as y from generate_series(1, 600) as i
"""


class Load:
    """Clients that call until told to stop, and check each answer.

    Whatever the version, an answer is within a few units of 10000 times its generation: a mix of two versions'
    trees would be thousands off.

    Parameters
    ----------
    pause : seconds between two calls of a client, so that the replacing itself gets something of the processor
    """

    def __init__(self, server: Server, pause: float) -> None:
        self.server, self.pause = server, pause
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self.generations: set[int] = set()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(N_CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    @property
    def n_calls(self) -> int:
        return sum(self.counts.values())

    def _run(self, seed: int) -> None:
        choice = random.Random(seed)
        while not self._stop.is_set():
            self._session(choice)

    def _session(self, choice: random.Random) -> None:
        try:
            with closing(self.server.connect()) as connection, connection.cursor() as cursor:
                cursor.execute(f"prepare call as {QUERIES['text']}")
                if choice.random() < 0.5:
                    cursor.execute("set plan_cache_mode = force_generic_plan")
                for _ in range(choice.randint(1, 100)):
                    if self._stop.wait(self.pause):
                        return
                    self._call(cursor, choice.choice(list(QUERIES)))
        except psycopg2.Error as error:
            self.errors.append(repr(error))

    def _call(self, cursor: Any, kind: str) -> None:
        cursor.execute(QUERIES[kind])
        for row in cursor.fetchall():
            for value in row:
                generation, rest = divmod(round(value), 10000)
                self.generations.add(generation)
                if rest > 60:
                    self.errors.append(f"{kind}: {value} is of no generation")
        self.counts[kind] += 1


def build(project: Project, generation: int) -> None:
    made = project.dbt("build", "--select", "trees", generation=generation)
    assert made.wait() == 0, made.output


# One process for all of them, which reads the project once and leaves MLflow alone: a rollback takes 50 ms, starting
# dbt and telling MLflow of it 5 s.
ROLLBACKS = """
import sys
from dbt.adapters.postgres_ml.impl import PostgresMLAdapter
from dbt.cli.main import dbtRunner
PostgresMLAdapter.move_champion = lambda *_: None
runner = dbtRunner(manifest=dbtRunner().invoke(["--quiet", "parse", "--vars", "{generation: 1}"]).result)
for n in range(int(sys.argv[1])):
    arguments = ["--args", f"{{model: trees, version: {1 + n % 2}}}", "--vars", "{generation: 1}"]
    result = runner.invoke(["--quiet", "run-operation", "rollback_model", *arguments])
    assert result.success, result
"""


def roll_back(project: Project, n_times: int) -> None:
    environment = {**os.environ, "DBT_PROFILES_DIR": str(project.directory)}
    command = [sys.executable, "-c", ROLLBACKS, str(n_times)]
    done = subprocess.run(
        command, cwd=project.directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def under_load(
    project: Project, record: Any, n_rollbacks: int, n_builds: int, n_calls: int, pause: float
) -> None:
    (project.directory / "models" / "trees.sql").write_text(TREES)
    for generation in (1, 2):
        build(project, generation)
    project.server.ask(f"create or replace view {SCHEMA}.scores as {QUERIES['text']} as y")
    with Load(project.server, pause) as load:
        roll_back(project, n_rollbacks)
        for n in range(n_builds):
            build(project, n + 3)
        deadline = time.monotonic() + 600
        while load.n_calls < n_calls and time.monotonic() < deadline:
            time.sleep(0.1)
    step, errors = f"{n_rollbacks + n_builds} times", f"{len(load.errors)} errors"
    called = {"fault": f"replaced under {N_CLIENTS} clients", "step": step, "serves": errors}
    record("fault", {**called, "calls": load.n_calls})
    assert load.errors == [], load.errors[:5]
    assert load.n_calls >= n_calls
    assert len(load.generations) > 1


def test_a_function_is_replaced_under_load(project: Project, record_property) -> None:
    under_load(project, record_property, n_rollbacks=10, n_builds=0, n_calls=2_000, pause=0.05)


@pytest.mark.faults
def test_a_hundred_replacements_and_a_hundred_thousand_calls(project: Project, record_property) -> None:
    under_load(project, record_property, n_rollbacks=97, n_builds=3, n_calls=100_000, pause=0.01)
