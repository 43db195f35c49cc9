"""The client of endpoints against servers on loopback that behave well and badly; AWS's signature."""

from __future__ import annotations

import http.server
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from postgres_ml.endpoint.client import Client
from postgres_ml.endpoint.messages import EndpointError
from postgres_ml.endpoint.sigv4 import signed_headers
from support.tls import self_signed, with_tls

COLUMNS = [["spend", "double precision"], ["n", "integer"], ["vip", "boolean"], ["state", "text"]]
ROW = [1.5, 3, True, "it's"]
AWS = {
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
}


CLIENTS: list[Client] = []


@pytest.fixture(autouse=True)
def disconnect() -> Iterator[None]:
    yield
    while CLIENTS:
        CLIENTS.pop().close()


class Server:
    """Answers with what `answer` returns: (status, content), and remembers what it was asked."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Callable[[bytes], tuple[int, bytes]] = lambda _: (200, b'{"predictions": [1]}')
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requests.append((self.path, dict(self.headers.items()), body))
                status, content = outer.answer(body)
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        if certificate is not None:
            with_tls(self.http, certificate)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.http.server_port}"
        # the interval is what shutdown waits for
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Callable[..., tuple[Server, Path]]]:
    """Start a server with a certificate of its own; return it and the certificate's file."""
    servers = []

    def start(*certificate: Any) -> tuple[Server, Path]:
        path = self_signed(tmp_path, *certificate)
        servers.append(Server(path))
        return servers[-1], path

    yield start
    for made in servers:
        made.http.shutdown()
        made.http.server_close()


def client(url: str, secret: dict[str, Any] | None = None, **about: Any) -> Client:
    fields = {
        **{
            "url": url,
            "protocol": "mlflow",
            "timeout": 5.0,
            "max_batch_rows": 2,
            "retries": 1,
            "model": None,
        },
        **{"secret": None, "region": None, "columns": COLUMNS, "returns": "double precision"},
        **{"function": "ml.predict_it", **about},
    }
    made = Client(fields, lambda: {} if secret is None else secret, lambda seconds: None)
    CLIENTS.append(made)
    return made


def test_mlflow_gets_the_columns_by_name_and_null_for_null(server: Server) -> None:
    assert client(server.url).predict([None, 3.0, True, None]) == 1.0
    path, headers, body = server.requests[0]
    assert b"[null, 3, true, null]" in body  # an integer column's double, as an integer
    assert path == "/invocations"
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "dataframe_split": {"columns": ["spend", "n", "vip", "state"], "data": [[None, 3, True, None]]}
    }


def test_batches_are_cut_to_size_and_keep_their_order(server: Server) -> None:
    def answer(body: bytes) -> tuple[int, bytes]:
        rows = json.loads(body)["dataframe_split"]["data"]
        return 200, json.dumps({"predictions": [row[1] * 10 for row in rows]}).encode()

    server.answer = answer
    numbers = struct.pack(">9d", 1.5, 1, 1, float("nan"), 2, 0, 2.5, 3, float("nan"))
    assert client(server.url).batch(numbers, ["a", None, "c"]) == [10.0, 20.0, 30.0]
    assert [len(json.loads(body)["dataframe_split"]["data"]) for _, _, body in server.requests] == [2, 1]
    assert json.loads(server.requests[1][2])["dataframe_split"]["data"] == [[2.5, 3, None, "c"]]


def test_infinity_is_not_sent(server: Server) -> None:
    assert client(server.url).predict([float("inf"), 1, True, "a"]) is None
    assert server.requests == []


def test_kserve(server: Server) -> None:
    server.answer = lambda _: (
        200,
        b'{"outputs": [{"name": "y", "shape": [1, 1], "datatype": "FP64", "data": [2.5]}]}',
    )
    assert client(server.url, protocol="kserve", model="churn").predict(ROW) == 2.5
    path, _, body = server.requests[0]
    assert path == "/v2/models/churn/infer"
    assert json.loads(body)["inputs"] == [
        {"name": "spend", "shape": [1], "datatype": "FP64", "data": [1.5]},
        {"name": "n", "shape": [1], "datatype": "FP64", "data": [3.0]},
        {"name": "vip", "shape": [1], "datatype": "BOOL", "data": [True]},
        {"name": "state", "shape": [1], "datatype": "BYTES", "data": ["it's"]},
    ]
    assert client(server.url, protocol="kserve", model="churn").predict([None, 1, True, "a"]) is None
    assert client(server.url, protocol="kserve", model="churn").predict([1.5, 1, True, None]) is None


def test_sagemaker_answers_one_value_for_each_row(server: Server) -> None:
    """Probabilities of all classes are no prediction: the first class's would be taken for one."""
    asked = client(server.url, AWS, protocol="sagemaker", region="eu-west-1")
    server.answer = lambda _: (200, b"0.1,0.7,0.2\n0.3,0.3,0.4\n")
    with pytest.raises(EndpointError, match=r"answered 3 values for a row, and a prediction is one: 0\.1,0"):
        asked._ask([ROW, ROW])
    server.answer = lambda _: (200, b"0.1,0.7\n")
    assert asked._ask([ROW, ROW]) == [0.1, 0.7]


@pytest.mark.parametrize("returns", ["double precision", "numeric", "integer"])
def test_what_only_python_reads_as_a_number_is_none(server: Server, returns: str) -> None:
    server.answer = lambda _: (200, b'{"predictions": ["1_000"]}')
    with pytest.raises(EndpointError, match=f"1_000.*not of type {returns}"):
        client(server.url, returns=returns).predict(ROW)


def test_sagemaker_sends_csv_with_null_as_nothing_and_is_signed(server: Server) -> None:
    server.answer = lambda _: (200, b"0.25\n")
    secret = {**AWS, "session_token": "token"}
    called = client(
        server.url + "/endpoints/churn/invocations",
        secret,
        protocol="sagemaker",
        region="eu-west-1",
        model="m",
    )
    assert called.predict([1.5, None, True, 'say "x", twice']) == 0.25
    path, headers, body = server.requests[0]
    assert path == "/endpoints/churn/invocations"
    assert body == b'1.5,,true,"say ""x"", twice"\n'
    assert headers["content-type"] == headers["accept"] == "text/csv"
    assert headers["x-amz-security-token"] == "token"
    assert headers["x-amzn-sagemaker-target-model"] == "m"
    assert (
        "/eu-west-1/sagemaker/aws4_request, SignedHeaders=accept;content-type;host;"
        in headers["authorization"]
    )


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
)
def test_signature_is_that_of_awss_test_suite(method: str, signature: str) -> None:
    headers = signed_headers(
        AWS, "example.amazonaws.com", "/", b"", {}, "us-east-1", "20150830T123600Z", "service", method
    )
    assert headers["authorization"].endswith(f"SignedHeaders=host;x-amz-date, Signature={signature}")


@pytest.mark.parametrize(
    ("returns", "answer", "value"),
    [
        ("integer", b"[2.0]", 2),
        ("bigint", b"[9007199254740993]", 9007199254740993),
        ("bigint", b'["9007199254740993"]', 9007199254740993),
        ("bigint", b'["-9007199254740993"]', -9007199254740993),
        ("bigint", b'["2.0"]', 2),
        ("numeric", b"[9007199254740993]", Decimal("9007199254740993")),
        ("numeric", b'["1e-20000"]', Decimal(0)),
        ("numeric", b"[0.1234567890123456789]", Decimal("0.1234567890123456789")),
        ("numeric", b'["0.1234567890123456789"]', Decimal("0.1234567890123456789")),
        ("boolean", b"[0]", False),
        ("boolean", b'["True"]', True),
        ("text", b"[true]", "true"),
        ("text", b"[3.0]", "3"),
        ("double precision", b"[[0.5]]", 0.5),
        ("double precision", b'[{"score": 0.5}]', 0.5),
        ("double precision", b"[null]", None),
        ("smallint", b"[NaN]", None),
    ],
)
def test_answers_become_the_functions_type(server: Server, returns: str, answer: bytes, value: Any) -> None:
    server.answer = lambda _: (200, b'{"predictions": ' + answer + b"}")
    got = client(server.url, returns=returns).predict(ROW)
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize("answer", [b"-nan", b"nan", b"NaN12", b"-sNaN"])
def test_a_numeric_that_is_no_number_has_neither_sign_nor_digits(server: Server, answer: bytes) -> None:
    """C's printf writes -nan; Postgres takes NaN alone."""
    server.answer = lambda _: (200, b'{"predictions": ["' + answer + b'"]}')
    assert str(client(server.url, returns="numeric").predict(ROW)) == "NaN"


@pytest.mark.parametrize(
    ("status", "content", "text"),
    [
        (500, b"out of   memory", "answered HTTP 500: out of memory"),
        (403, b"no", "answered HTTP 403: no"),
        (302, b"", "answered HTTP 302"),
        (200, b"<html>", 'answered something other than JSON with a list "predictions": <html>'),
        (200, b'{"predictions": 3}', "answered something other than JSON"),
        (200, b'{"predictions": [1, 2]}', "returned 2 predictions for 1 rows"),
        (
            200,
            b'{"predictions": ["gold"]}',
            "answered 'gold', which is not of type double precision, which ml.predict_it",
        ),
    ],
)
def test_each_bad_answer_is_one_clear_error(server: Server, status: int, content: bytes, text: str) -> None:
    server.answer = lambda _: (status, content)
    with pytest.raises(EndpointError) as caught:
        client(server.url).predict(ROW)
    assert str(caught.value).startswith(f"endpoint {server.url}/invocations {text}")
    assert len(server.requests) == (2 if status == 500 else 1)  # only what may pass is tried again


def test_an_error_that_passes(server: Server) -> None:
    answers = iter([(503, b""), (200, b'{"predictions": [7]}')])
    server.answer = lambda _: next(answers)
    waits: list[float] = []
    called = client(server.url)
    called.sleep = waits.append
    assert called.predict(ROW) == 7.0
    assert waits == [0.1]


def test_slow(server: Server) -> None:
    def answer(_: bytes) -> tuple[int, bytes]:
        time.sleep(1)
        return 200, b"{}"

    server.answer = answer
    with pytest.raises(EndpointError, match=r"gave no answer within 0\.1 s") as caught:
        client(server.url, timeout=0.1).predict(ROW)
    assert caught.value.sqlstate == "08006"


def test_down() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(EndpointError, match="can't be reached: Connection refused") as caught:
        client(f"http://127.0.0.1:{port}").predict(ROW)
    assert caught.value.sqlstate == "08001"


def test_no_tls_there(server: Server) -> None:
    with pytest.raises(EndpointError, match="TLS fails"):
        client(server.url.replace("http:", "https:")).predict(ROW)


def test_a_certificate_that_nobody_vouches_for(secure: Any) -> None:
    server, _ = secure()
    with pytest.raises(EndpointError, match="has no valid certificate: self-signed certificate") as caught:
        client(server.url).predict(ROW)
    assert caught.value.sqlstate == "08006" and "ca_file" in caught.value.hint
    assert server.requests == []


def test_an_authority_of_ones_own(secure: Any) -> None:
    server, path = secure()
    assert client(server.url, {"ca_file": str(path)}).predict(ROW) == 1.0


@pytest.mark.parametrize(
    ("certificate", "text"),
    [(("127.0.0.2",), "IP address mismatch"), (("127.0.0.1", -1), "certificate has expired")],
)
def test_certificates_of_another_host_or_time(secure: Any, certificate: Any, text: str) -> None:
    server, path = secure(*certificate)
    with pytest.raises(EndpointError, match=f"has no valid certificate: .*{text}"):
        client(server.url, {"ca_file": str(path)}).predict(ROW)
    assert server.requests == []


def test_the_file_of_the_authority_is_gone(secure: Any) -> None:
    server, _ = secure()
    with pytest.raises(EndpointError, match=r"ca_file gone\.pem can't be read: No such file") as caught:
        client(server.url, {"ca_file": "gone.pem"}).predict(ROW)
    assert caught.value.sqlstate == "08006"


def test_not_allowed() -> None:
    refused = client("https://models.example")
    refused.read_secret = lambda: None
    with pytest.raises(EndpointError, match=r"is not in the table postgres_ml\.endpoint"):
        refused.predict(ROW)


def test_unknown_region(server: Server) -> None:
    with pytest.raises(EndpointError, match="the AWS region is unknown"):
        client(server.url, AWS, protocol="sagemaker").predict(ROW)
