"""What has to be there before a worker can work: the catalog's functions, the queue's tables, rights."""

from __future__ import annotations

import json
import re
import subprocess
import time

import procrastinate.schema
import psycopg
from dbt.adapters.postgres_ml.worker.children import COMMAND
from dbt.adapters.postgres_ml.worker.place import EMBEDDED_SCHEDULER, QUEUE_SCHEMA, SEARCH_PATH, Place
from dbt.adapters.postgres_ml.worker.project import variables, write_project
from psycopg import sql

from postgres_ml.contract.exceptions import SpecError

REFUSED = re.compile("authentication|does not exist|no pg_hba.conf entry")
RELEASE = 6  # of the functions for SQL clients: macros/catalog/sql_client/install.sql
PATIENCE_S = 60.0  # for a server that is starting
STATE = """
select
    current_user as role, current_database() as database,
    f.claim is not null as has_catalog,
    coalesce((regexp_match(
        obj_description(to_regclass('postgres_ml.jobs'), 'pg_class'), 'release ([0-9]+)'
    ))[1]::integer, 0) as release,
    coalesce(
        (select pg_has_role(relowner, 'usage') from pg_class where oid = to_regclass('postgres_ml.job')),
        has_database_privilege(current_database(), 'create')
    ) as may_make_catalog,
    coalesce(has_function_privilege(f.claim, 'execute'), false) as may_work,
    exists (
        select from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
        where n.nspname = 'postgres_ml_queue' and c.relname = 'procrastinate_jobs'
    ) as has_queue,
    coalesce(has_schema_privilege(to_regnamespace('postgres_ml_queue'), 'create'), false) as may_make_queue,
    has_database_privilege(current_database(), 'create') as may_create_schema,
    current_setting('search_path') as search_path
from (select to_regprocedure('postgres_ml.claim_job(bigint, text)') as claim) as f
"""


def connect(place: Place, path: str = SEARCH_PATH) -> psycopg.Connection[dict[str, object]]:
    """Return a connection in autocommit mode; a server that is starting is waited for.

    Raises
    ------
    SpecError
        There is none after a minute, or it refuses the role.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        connection, reason = _try(place.conninfo(path))
        if connection is not None:
            return connection
        if REFUSED.search(reason) or time.monotonic() > deadline:
            raise SpecError(f"{place.name}: {reason}")
        time.sleep(1)


def _try(conninfo: str) -> tuple[psycopg.Connection[dict[str, object]] | None, str]:
    try:
        return psycopg.connect(conninfo, autocommit=True, row_factory=psycopg.rows.dict_row), ""
    except psycopg.OperationalError as error:
        return None, " ".join(str(error).split())


def prepare(place: Place) -> None:
    """Check that the worker can work; make the queue's tables, and as administrator the catalog, if need be.

    Raises
    ------
    SpecError
        Something is missing that the worker's role may not make; with the command that makes it.
    """
    with connect(place) as connection:
        state = connection.execute(STATE).fetchone()
        assert state is not None
        if int(str(state["release"])) < RELEASE:
            if not state["may_make_catalog"]:
                lacks = "are of an older release" if state["has_catalog"] else "are not there"
                raise SpecError(
                    f"the functions for SQL clients of database {state['database']} {lacks}: let an "
                    "administrator run `dbt run-operation create_catalog --args "
                    f"'{{worker: {state['role']}}}'`"
                )
            create_catalog(place, scheduler=_embedded_scheduler(place, connection))
            state = connection.execute(STATE).fetchone()
            assert state is not None
        if not state["may_work"]:
            raise SpecError(
                f"role {state['role']} may not work for others: let the catalog's owner run "
                f"`dbt run-operation create_catalog --args '{{worker: {state['role']}}}'`"
            )
        if not state["has_queue"]:
            make_queue(
                place, connection, may_create=bool(state["may_create_schema"] or state["may_make_queue"])
            )
        path = str(state["search_path"]).replace('"', "").replace(" ", "")
        if place.is_pooled and path != SEARCH_PATH.replace(" ", ""):
            raise SpecError(
                f"behind a pooler the role's own search_path counts, and that is {state['search_path']}: "
                f"alter role {state['role']} in database {state['database']} set search_path = {SEARCH_PATH}"
            )


def make_queue(place: Place, connection: psycopg.Connection[dict[str, object]], *, may_create: bool) -> None:
    """Create procrastinate's tables in a schema of their own.

    Raises
    ------
    SpecError
        The role may not.
    """
    if not may_create:
        raise SpecError(
            f"there is no schema {QUEUE_SCHEMA}, and the role may not create it: see docs/worker.md"
        )
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(hashtext('postgres_ml_queue'))")
        row = connection.execute(
            "select to_regclass('postgres_ml_queue.procrastinate_jobs') as found"
        ).fetchone()
        if row is not None and row["found"] is not None:
            return
        if (
            connection.execute("select from pg_namespace where nspname = %s", (QUEUE_SCHEMA,)).fetchone()
            is None
        ):
            connection.execute(sql.SQL("create schema {}").format(sql.Identifier(QUEUE_SCHEMA)))
        connection.execute(
            sql.SQL("set local search_path = {}, pg_catalog").format(sql.Identifier(QUEUE_SCHEMA))
        )
        connection.execute(procrastinate.schema.SchemaManager.get_schema())


def _embedded_scheduler(place: Place, connection: psycopg.Connection[dict[str, object]]) -> str | None:
    """Make the role that fires the schedules of an embedded server."""
    if not place.directory:
        return None
    if (
        connection.execute("select from pg_roles where rolname = %s", (EMBEDDED_SCHEDULER,)).fetchone()
        is None
    ):
        connection.execute(sql.SQL("create role {} login").format(sql.Identifier(EMBEDDED_SCHEDULER)))
    return EMBEDDED_SCHEDULER


def create_catalog(place: Place, worker: str | None = None, scheduler: str | None = None) -> None:
    """Run `create_catalog` as the place's role.

    Raises
    ------
    SpecError
        dbt's reason why it can't.
    """
    folder = place.folder / "template"
    write_project(folder, place, 1)
    given = {"worker": worker, "scheduler": scheduler}
    arguments = json.dumps({name: role for name, role in given.items() if role})
    where = ["--project-dir", str(folder), "--profiles-dir", str(folder), "--quiet"]
    task = {
        "arguments": ["run-operation", "create_catalog", "--args", arguments, *where],
        "environment": variables(place),
    }
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(task) + "\n")
        child.stdin.flush()
        done = [event for event in map(json.loads, child.stdout) if event["event"] == "done"]
    if not done or not done[0]["success"]:
        raise SpecError(f"the catalog can't be created: {done[0]['message'] if done else 'dbt died'}")
