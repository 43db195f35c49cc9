"""Predictions on replicas, through remote views and behind logical replication, as docs/scale.md says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import psycopg2
import pytest
from postgres_ml.generate import GeneratedFunctions, create_statement, generate_native, generate_sql
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.program import Input, Program
from support.embedded_servers import wait_until
from support.standby import Pair, connect, pair
from xgboost import XGBClassifier

pytestmark = pytest.mark.xdist_group("debian")

N_ROWS = 20_000
INPUTS = (Input("x", "double precision", "number"), Input("y", "double precision", "number"))
CALL = "predict_it(x, y)"
RUNTIMES = {"native": generate_native, "sql": generate_sql}
Generate = Callable[..., GeneratedFunctions]


def frame_of(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame([row[:2] for row in rows], columns=["x", "y"], dtype=np.float64)


def train(sign: int) -> XGBClassifier:
    """A model of 20 trees; the other sign gives the other answers."""
    source = np.random.default_rng(0)
    frame = pd.DataFrame(source.normal(size=(2_000, 2)), columns=["x", "y"])
    model = XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1)
    return model.fit(frame, (sign * frame["x"] * frame["y"] > 0).astype(int))


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    with pair() as made:
        with connect(made.primary).cursor() as cursor:
            cursor.execute(
                f"create table points as select i, sin(i) * 2 as x, cos(i * 1.7) * 2 as y "
                f"from generate_series(1, {N_ROWS}) as i"
            )
        yield made


@pytest.fixture(scope="module")
def models() -> dict[int, XGBClassifier]:
    return {sign: train(sign) for sign in (1, -1)}


def publish(servers: Pair, model: XGBClassifier, generate: Generate) -> None:
    program: Program = parse_pipeline(model, INPUTS, "integer")
    with connect(servers.primary).cursor() as cursor:
        for body in generate(program, "public", "predict_it").functions:
            cursor.execute(create_statement(body, "public"))
    servers.wait_until_replayed()


@pytest.mark.parametrize("runtime", RUNTIMES)
class TestReplica:
    def test_the_function_answers_as_the_library_does(self, servers, models, runtime):
        publish(servers, models[1], RUNTIMES[runtime])
        with connect(servers.standby).cursor() as cursor:
            cursor.execute(f"select pg_is_in_recovery(), x, y, {CALL} from points")
            found = cursor.fetchall()
        assert {row[0] for row in found} == {True} and len(found) == N_ROWS
        expected = models[1].predict(frame_of([row[1:] for row in found]))
        assert [row[3] for row in found] == expected.tolist()

    @pytest.mark.parametrize("place", ["primary", "standby"])
    def test_a_statement_keeps_the_version_it_began_with(self, servers, models, runtime, place):
        publish(servers, models[1], RUNTIMES[runtime])
        reader = connect(getattr(servers, place))
        reader.autocommit = False
        try:
            scan = reader.cursor("scan")  # the server computes rows as they are fetched
            scan.itersize = 100
            scan.execute(f"select x, y, {CALL} from points")
            rows = scan.fetchmany(100)
            publish(servers, models[-1], RUNTIMES[runtime])
            rows += scan.fetchall()
            scan.close()
            again = reader.cursor()
            again.execute(f"select x, y, {CALL} from points")
            after = again.fetchall()
        finally:
            reader.close()
        assert [row[2] for row in rows] == models[1].predict(frame_of(rows)).tolist()
        assert [row[2] for row in after] == models[-1].predict(frame_of(after)).tolist()


def test_a_replica_without_the_library_says_which_file_it_misses(servers, models):
    publish(servers, models[1], generate_native)
    hidden = servers.library.with_suffix(".hidden")
    servers.library.rename(hidden)
    try:
        with (
            connect(servers.standby).cursor() as cursor,
            pytest.raises(psycopg2.Error, match=r"plmodel-15\.so"),
        ):
            cursor.execute(f"select {CALL} from points limit 1")
    finally:
        hidden.rename(servers.library)
    with connect(servers.standby).cursor() as cursor:
        cursor.execute(f"select {CALL} from points limit 1")
        assert cursor.rowcount == 1


@pytest.fixture
def elsewhere(servers: Pair) -> Iterator[Any]:
    """A cursor of another database, which has neither the model nor the language."""
    with connect(servers.primary).cursor() as cursor:
        cursor.execute("create database elsewhere")
    other = connect(servers.primary, "elsewhere")
    yield other.cursor()
    other.close()
    with connect(servers.primary).cursor() as cursor:
        cursor.execute("drop database elsewhere with (force)")


def test_a_remote_view_predicts_where_the_model_is(servers, models, elsewhere):
    publish(servers, models[1], generate_native)
    home = servers.primary
    with connect(home).cursor() as cursor:
        cursor.execute(f"create or replace view scored as select i, {CALL} as prediction from points")
    elsewhere.execute(
        "create extension postgres_fdw; "
        f"create server home foreign data wrapper postgres_fdw options (host '{home.host}', "
        f"port '{home.port}', dbname '{home.dbname}'); "
        f"create user mapping for current_user server home options (user '{home.user}'); "
        "create foreign table scored (i int, prediction int) server home"
    )
    elsewhere.execute("explain (verbose) select i from scored where prediction = 1")
    plan = "\n".join(line for (line,) in elsewhere.fetchall())
    assert "Remote SQL: SELECT i FROM public.scored WHERE ((prediction = 1))" in plan
    elsewhere.execute("select i, prediction from scored order by i")
    found = elsewhere.fetchall()
    with connect(home).cursor() as cursor:
        cursor.execute("select x, y from points order by i")
        expected = models[1].predict(frame_of(cursor.fetchall()))
    assert [prediction for _, prediction in found] == expected.tolist()


def test_logical_replication_takes_predictions_along_and_no_functions(servers, models, elsewhere):
    publish(servers, models[1], generate_native)
    home = servers.primary
    origin = f"host={home.host} port={home.port} dbname={home.dbname} user={home.user}"
    with connect(home).cursor() as cursor:
        cursor.execute(
            f"create table predictions as select i, {CALL} as prediction from points where i <= 500; "
            "create publication predicted for table predictions"
        )
        cursor.execute("select pg_create_logical_replication_slot('predicted', 'pgoutput')")
        try:
            elsewhere.execute("create table predictions (i int, prediction int)")
            elsewhere.execute(
                f"create subscription predicted connection '{origin}' publication predicted "
                "with (create_slot = false, slot_name = 'predicted')"
            )

            def n_rows() -> int:
                elsewhere.execute("select count(*) from predictions")
                return elsewhere.fetchone()[0]

            wait_until(lambda: n_rows() == 500, "the rows have arrived")
            cursor.execute(
                f"insert into predictions select i, {CALL} from points where i between 501 and 600"
            )
            wait_until(lambda: n_rows() == 600, "new rows have arrived")
            elsewhere.execute("select to_regproc('predict_it'), i, prediction from predictions order by i")
            found = elsewhere.fetchall()
            elsewhere.execute("drop subscription predicted")
        finally:
            cursor.execute("drop publication predicted; drop table predictions")
            cursor.execute("select x, y from points where i <= 600 order by i")
            expected = models[1].predict(frame_of(cursor.fetchall()))
    assert {row[0] for row in found} == {None}
    assert [row[2] for row in found] == expected.tolist()
