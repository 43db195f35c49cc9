"""dbt models behind an endpoint, on Debian's server: what a service on loopback gets, answers, and fails at."""

from __future__ import annotations

import http.server
import json
import threading

import psycopg2
import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture

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

    def test_card(self, built, select):
        assert select("select runtime, score, signature from doubled") == [
            ("endpoint", None, "(spend numeric, region text) returns double precision")
        ]

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
        [("500", "answered HTTP 500", "38000"), ("count", "answered 2 predictions for 1 rows", "38000")],
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
