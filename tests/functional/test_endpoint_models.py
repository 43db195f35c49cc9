"""dbt models behind an endpoint, on Debian's server: what a service on loopback gets, answers, and fails at."""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg2
import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture
from support.slow_service import DRIPS, SlowService
from support.tls import self_signed, with_tls

from tests.functional.test_python_models import OnDebian

pytestmark = pytest.mark.xdist_group("debian")
CUSTOMERS = """
{{ config(materialized='table') }}
select i as id, i::numeric as spend, case when i % 5 <> 0 then 'r' || i % 3 end as region from generate_series(1, 25) as i
"""


class Service(http.server.BaseHTTPRequestHandler):
    """Doubles the first column; `mode` makes it misbehave."""

    protocol_version = "HTTP/1.1"
    mode = ""
    requests: list[list[list[object]]] = []

    def do_POST(self):
        rows = json.loads(self.rfile.read(int(self.headers["content-length"])))["dataframe_split"]["data"]
        self.requests.append(rows)
        predictions = [None if row[0] is None else row[0] * 2 for row in rows]
        body = json.dumps({"predictions": predictions + [1] * (self.mode == "count")}).encode()
        self.send_response(500 if self.mode == "500" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def measured(url, target, more=""):
    """A model behind the service with a query to evaluate it on; one row has no target."""
    return (
        f"{{{{ config(materialized='create_model', target='answer', returns='float8'{more}, "
        f"endpoint={{'url': '{url}', 'max_batch_rows': 10, 'retries': 0}}) }}}}\n"
        f"select spend, region, case when id < 25 then {target} end as answer from {{{{ ref('customers') }}}}"
    )


class TestEndpoint(OnDebian):
    @pytest.fixture(scope="class")
    def service(self):
        Service.requests.clear()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()

    @pytest.fixture(scope="class")
    def models(self, service):
        doubled = (
            "{{ config(materialized='create_model', arguments='spend numeric, region text', returns='float8', "
            f"endpoint={{'url': '{service}', 'max_batch_rows': 10, 'retries': 0}}) }}}}"
        )
        return {
            "customers.sql": CUSTOMERS,
            "doubled.sql": doubled,
            "scored.sql": "{{ config(materialized='table') }} "
            "{{ predict_table(ref('doubled'), ref('customers'), key='id') }}",
            "measured.sql": measured(service, "2 * spend + case when id = 1 then 5 else 0 end"),
            "too_bad.sql": measured(service, "3 * spend", ", gates={'r2': '>= 0.9'}"),
            "labelled.sql": measured(
                service, "2 * spend", ", problem_type='multiclass_classification'"
            ).replace("returns='float8'", "returns='integer'"),
            "away.sql": doubled.replace(service, "https://models.example").replace("doubled", "away"),
        }

    @pytest.fixture(scope="class")
    def built(self, project):
        return run_dbt_and_capture(["build"], expect_pass=False)

    @pytest.fixture(autouse=True)
    def behave(self, built):
        Service.mode = ""
        Service.requests.clear()

    def test_a_service_elsewhere_has_to_be_allowed(self, built):
        _results, output = built
        output = " ".join(output.split())
        assert "away: endpoint https://models.example is not in the table postgres_ml.endpoint" in output
        assert (
            "insert into postgres_ml.endpoint (name, url_prefix, secret) values ('away', 'https://models.example'"
            in output
        )

    def test_the_table_of_what_is_allowed_is_there_before_a_model(self, project, built, select):
        """The build that is refused takes back the table that it made."""
        select("drop table postgres_ml.endpoint; select 1")
        refused = run_dbt(["build", "--select", "away"], expect_pass=False)
        assert "`dbt run-operation create_catalog`" in refused[0].message
        assert select("select to_regclass('postgres_ml.endpoint')") == [(None,)]
        run_dbt(["run-operation", "create_catalog"])
        select(
            "insert into postgres_ml.endpoint (name, url_prefix) values ('away', 'https://models.example') "
            "returning name"
        )
        try:
            run_dbt(["build", "--select", "away"])
        finally:
            select("delete from postgres_ml.endpoint where name = 'away' returning name")

    def test_a_rollback_asks_mlflow_nothing_that_it_never_knew(self, project, built, select):
        run_dbt(["build", "--select", "doubled", "--full-refresh"])
        _, log = run_dbt_and_capture(["run-operation", "rollback_model", "--args", "{model: doubled}"])
        assert "v1 serves" in log and "champion stays" not in log
        champions = "select version, is_serving, is_champion from postgres_ml.model_version where model_name = 'doubled'"
        assert select(f"{champions} and model_schema = current_schema order by 1") == [
            (1, True, None), (2, False, None),
        ]  # fmt: skip
        _, log = run_dbt_and_capture(["build", "--select", "doubled"])
        assert "champion stays" not in log
        run_dbt(["run-operation", "rollback_model", "--args", "{model: doubled, version: 2}"])

    def test_card(self, built, select):
        assert select("select runtime, score, signature from doubled") == [
            ("endpoint", None, "(spend double precision, region text) returns double precision")
        ]

    def test_a_query_with_a_target_evaluates(self, built, select):
        [(metric, score, rows, rmse)] = select(
            "select metric, score, n_rows, (metrics ->> 'rmse')::float8 from measured"
        )
        assert (metric, rows) == ("mse", 24)
        assert score == pytest.approx(25 / 24) and rmse == pytest.approx((25 / 24) ** 0.5)
        assert select("select metric, score, problem_type from labelled") == [
            ("accuracy", 1.0, "multiclass_classification")
        ]
        [(comment,)] = select("select obj_description('predict_measured(float8, text)'::regprocedure)")
        assert "mse 1.042 on the hold-out)" in comment

    def test_a_gate_that_is_not_met_publishes_nothing(self, built, select, project):
        _results, output = built
        assert "too_bad: gate not met: r2 is" in " ".join(output.split())
        assert select(
            "select count(*) from pg_proc where proname ~ 'too_bad' "
            f"and pronamespace = '{project.test_schema}'::regnamespace"
        ) == [(0,)]

    def test_one_row_a_call(self, built, select):
        assert select("select predict_doubled(1.5, 'a'), predict_doubled(null, null)") == [(3.0, None)]
        assert Service.requests == [[[1.5, "a"]], [[None, None]]]

    def test_predict_table_keeps_rows_apart(self, built, project, select):
        assert select("select count(*), count(*) filter (where prediction = id * 2) from scored") == [
            (25, 25)
        ]
        run_dbt(["run", "--select", "scored"])
        assert sorted(map(len, Service.requests)) == [5, 10, 10]
        assert [5, None] in [row for rows in Service.requests for row in rows]

    @pytest.mark.parametrize(
        ("mode", "text", "code"),
        [("500", "answered HTTP 500", "38000"), ("count", "returned 2 predictions for 1 rows", "38000")],
    )
    def test_an_error_ends_the_statement_and_not_the_session(self, built, select, mode, text, code):
        Service.mode = mode
        with pytest.raises(psycopg2.Error, match=text) as caught:
            select("select predict_doubled(1, 'a')")
        assert caught.value.pgcode == code
        Service.mode = ""
        assert select("select predict_doubled(2, 'a')") == [(4.0,)]

    def test_secrets_are_the_owners(self, built, project, debian_connection):
        with debian_connection.cursor() as cursor:
            cursor.execute(
                f'create role stranger; grant usage on schema "{project.test_schema}" to stranger; set role stranger'
            )
            try:
                cursor.execute(f'select "{project.test_schema}".predict_doubled(1, null)')
                assert cursor.fetchall() == [(2.0,)]
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    cursor.execute("select secret from postgres_ml.endpoint")
            finally:
                cursor.execute("reset role; drop owned by stranger; drop role stranger")


class TestCertificate(OnDebian):
    """A service with a certificate of its own: refused inside the server, until its authority is given."""

    @pytest.fixture(scope="class")
    def service(self, tmp_path_factory):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
        server.daemon_threads = True
        folder = tmp_path_factory.mktemp("certificates")
        with_tls(server, self_signed(folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server, folder
        server.shutdown()
        server.server_close()

    @pytest.fixture(scope="class")
    def models(self, service):
        server, _ = service
        return {
            "doubled.sql": "{{ config(materialized='create_model', arguments='spend numeric', returns='float8', "
            f"endpoint={{'url': 'https://127.0.0.1:{server.server_port}', 'retries': 0}}) }}}}"
        }

    def test_it_is_refused_until_its_authority_is_given(self, project, service, select):
        Service.mode = ""
        run_dbt(["build"])
        with pytest.raises(
            psycopg2.Error, match="has no valid certificate: self-signed certificate"
        ) as caught:
            select("select predict_doubled(1)")
        assert caught.value.pgcode == "08006"
        server, folder = service
        # in a place that the server's account can read, as an authority's certificate is
        [pem] = folder.glob("*.pem")
        readable = Path(tempfile.mkdtemp(prefix="pgml-ca-", dir="/tmp"))
        try:
            readable.chmod(0o755)
            (readable / "ca.pem").write_text(pem.read_text())
            secret = json.dumps({"ca_file": str(readable / "ca.pem")})
            select(
                "insert into postgres_ml.endpoint (name, url_prefix, secret) values "
                f"('tls', 'https://127.0.0.1:{server.server_port}', '{secret}') returning name"
            )
            assert select("select predict_doubled(21)") == [(42.0,)]
        finally:
            select("delete from postgres_ml.endpoint where name = 'tls' returning name")
            shutil.rmtree(readable)


SECRET = "sk-Live/9f8e7d6c5b4a+3210=Zyx"


class TestBadService(OnDebian):
    """A service that drips for ever, and one that repeats its secret, seen from SQL and from a build."""

    @pytest.fixture(scope="class")
    def drip(self):
        service = SlowService(lambda request: DRIPS[type(self).kind](request), 0.2)
        yield service
        service.close()

    kind = "chunks"

    @pytest.fixture(scope="class")
    def echo(self):
        def answer(request):
            body = request.partition(b"\r\n\r\n")[0]
            return [b"HTTP/1.1 401 No\r\ncontent-length: %d\r\n\r\n" % len(body), body]

        service = SlowService(answer)
        yield service
        service.close()

    @pytest.fixture(scope="class")
    def models(self, drip, echo):
        config = (
            "{{{{ config(materialized='create_model', {}returns='float8', "
            "endpoint={{'url': '{}', 'timeout': 60, 'retries': 3{}}}) }}}}"
        )
        arguments = "arguments='spend numeric', "
        return {
            "dripping.sql": config.format(arguments, drip.url, ""),
            "repeating.sql": config.format(arguments, echo.url, ", 'secret': 'echo'"),
            "evaluated.sql": config.format("target='answer', ", drip.url, "")
            + "\nselect 1.0 as spend, 2.0::float8 as answer",
        }

    @pytest.fixture(scope="class")
    def built(self, project, echo, debian):
        run_dbt(["run", "--select", "dripping"])  # makes the catalog
        connection = psycopg2.connect(
            host=debian.host, port=debian.port, user=debian.user, dbname=debian.dbname
        )
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(
                "insert into postgres_ml.endpoint (name, url_prefix, secret) values ('echo', %s, %s)",
                (echo.url, json.dumps({"bearer": SECRET, "headers": {"x-team": "hunter2"}})),
            )
            run_dbt(["run", "--select", "repeating"])
            yield
            cursor.execute("delete from postgres_ml.endpoint where name = 'echo'")

    @pytest.fixture
    def session(self, built, project, debian):
        connection = psycopg2.connect(
            host=debian.host, port=debian.port, user=debian.user, dbname=debian.dbname
        )
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f'set search_path to "{project.test_schema}"')
            yield cursor
        connection.close()

    @pytest.mark.parametrize("kind", DRIPS)
    def test_statement_timeout_ends_a_drip(self, session, kind):
        type(self).kind = kind
        session.execute("set statement_timeout = '2s'")
        began = time.monotonic()
        with pytest.raises(psycopg2.errors.QueryCanceled):
            session.execute("select predict_dripping(1)")
        assert 1.9 < time.monotonic() - began < 3
        session.execute("select 1")
        assert session.fetchall() == [(1,)]

    @pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
    def test_cancel_and_terminate_end_a_drip(self, session, debian_connection, function):
        type(self).kind = "headers"
        pid, began = session.connection.info.backend_pid, time.monotonic()

        def end():
            time.sleep(1)
            with debian_connection.cursor() as cursor:
                cursor.execute(f"select {function}({pid})")

        ending = threading.Thread(target=end)
        ending.start()
        with pytest.raises(psycopg2.OperationalError):  # what both are
            session.execute("select predict_dripping(1)")
        assert time.monotonic() - began < 2.5
        ending.join()
        with debian_connection.cursor() as cursor:  # the server didn't restart: this session is still there
            cursor.execute(
                "select count(*) from pg_stat_activity where pid = %s and state = 'active'", (pid,)
            )
            assert cursor.fetchall() == [(0,)]

    def test_no_text_and_no_source_shows_the_secret(self, session):
        with pytest.raises(psycopg2.Error, match="answered HTTP 401") as caught:
            session.execute("select predict_repeating(1)")
        told = caught.value.diag
        shown = " ".join(
            str(text)
            for text in (
                caught.value, told.message_primary, told.message_detail, told.message_hint, told.context,
                told.internal_query,
            )
        )  # fmt: skip
        assert "***" in shown
        for part in (SECRET, SECRET[:9], SECRET[9:], "hunter2"):
            assert part not in shown
        session.execute(
            "select count(*) from pg_proc where prosrc like %s or prosrc ~ 'hunter2'", (f"%{SECRET}%",)
        )
        assert session.fetchall() == [(0,)]

    def test_interrupting_a_build_ends_the_evaluation(self, built, project, debian_connection):
        type(self).kind = "body of a length"
        process = subprocess.Popen(
            [sys.executable, "-m", "dbt.cli.main", "run", "--select", "evaluated", "--profiles-dir",
             str(project.profiles_dir)],
            cwd=project.project_root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        asked = (
            "select count(*) from pg_stat_activity where query like '%__batch%' and pid <> pg_backend_pid()"
        )
        try:
            with debian_connection.cursor() as cursor:
                for _ in range(300):
                    cursor.execute(asked)
                    if cursor.fetchone()[0]:
                        break
                    time.sleep(0.1)
                else:
                    raise AssertionError("the build never asked the service")
                began = time.monotonic()
                process.send_signal(signal.SIGINT)
                output, _ = process.communicate(timeout=20)
                assert time.monotonic() - began < 15, output
                cursor.execute(f"{asked} and state = 'active'")
                assert cursor.fetchall() == [(0,)]
        finally:
            process.kill()
            process.wait()
