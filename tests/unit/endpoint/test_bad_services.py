"""The client of endpoints against services that drip, flood, redirect and repeat secrets."""

from __future__ import annotations

import base64
import gzip
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from postgres_ml.endpoint import transport
from postgres_ml.endpoint.client import Client
from postgres_ml.endpoint.messages import EndpointError
from postgres_ml.endpoint.scrub import Scrubber
from support.slow_service import ANSWER, DRIPS, HEAD, SlowService, forever

SECRET = "sk-Live/9f8e7d6c5b4a+3210=Zyx"
Answer = Callable[[bytes], Iterable[bytes]]


class Cancelled(Exception):
    """What plpy raises for a cancelled query."""


@pytest.fixture
def ask() -> Iterator[Callable[..., Any]]:
    """Return a function that asks a service that answers so for one prediction."""
    made: list[Any] = []

    def run(answer: Answer, wait: float = 0.0, *, rows: int = 1, **about: Any) -> Any:
        service = SlowService(answer, wait)
        made.append(service)
        secret, sleep = about.pop("told", {}), about.pop("sleep", lambda _: None)
        client = Client(
            {
                **{
                    "url": service.url,
                    "protocol": "mlflow",
                    "timeout": 0.2,
                    "max_batch_rows": 10,
                    "retries": 0,
                },
                **{"model": None, "secret": None, "region": None, "columns": [["x", "double precision"]]},
                **{"returns": "double precision", "function": "ml.predict_it", **about},
            },
            lambda: secret,
            sleep,
        )
        made.append(client)
        return client._ask([[1.0]] * rows)

    run.services = made  # type: ignore[attr-defined]
    yield run
    for each in made:
        each.close()


def ok(body: bytes) -> Answer:
    return lambda _: [HEAD + b"content-length: %d\r\n\r\n" % len(body) + body]


@pytest.mark.parametrize("drip", DRIPS)
def test_timeout_is_a_deadline_over_everything(ask: Callable[..., Any], drip: str) -> None:
    began = time.monotonic()
    with pytest.raises(EndpointError, match=r"gave no answer within 0.2 s"):
        ask(DRIPS[drip], 0.02, retries=3)
    assert time.monotonic() - began < 0.9


def test_retries_and_the_waits_between_them_are_inside_the_deadline(ask: Callable[..., Any]) -> None:
    began = time.monotonic()
    busy = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"
    with pytest.raises(EndpointError, match="HTTP 503"):
        ask(lambda _: [busy], 0.02, retries=10, timeout=0.5, sleep=time.sleep)
    assert time.monotonic() - began < 0.7
    assert 1 < len(ask.services[0].requests) < 5  # type: ignore[attr-defined]


@pytest.mark.parametrize("drip", DRIPS)
def test_a_cancelled_query_ends_it_soon(ask: Callable[..., Any], drip: str) -> None:
    began = time.monotonic()

    def look(_: float) -> None:
        if time.monotonic() - began > 0.1:
            raise Cancelled

    with pytest.raises(Cancelled):
        ask(DRIPS[drip], 0.02, timeout=60, sleep=look)
    assert time.monotonic() - began < 0.8


def test_a_name_that_is_not_resolved(ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    resolve, asked, masks = socket.getaddrinfo, threading.Event(), []

    def hang(host: str, *rest: Any) -> Any:
        if host == "models.example" and socket.AI_NUMERICHOST not in rest:
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))
            asked.wait(5)
        return resolve(host, *rest)

    monkeypatch.setattr(transport.socket, "getaddrinfo", hang)
    began = time.monotonic()
    with pytest.raises(EndpointError, match=r"gave no answer within 0.2 s"):
        ask(DRIPS["nothing"], url="http://models.example:1/")
    assert time.monotonic() - began < 0.9
    asked.set()
    assert signal.SIGTERM in masks[0] and signal.SIGALRM in masks[0]  # they are the main thread's
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_name_that_is_unknown(ask: Callable[..., Any]) -> None:
    with pytest.raises(EndpointError, match="can't be reached: "):
        ask(DRIPS["nothing"], url="http://nobody.invalid/", timeout=20)


def test_a_tls_handshake_that_never_comes(ask: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(EndpointError, match=r"gave no answer within 0.2 s"):
            ask(DRIPS["nothing"], url=url)


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: [HEAD + b"content-length: 600000000\r\n\r\n" + b" " * 1000],
        lambda _: forever(b" " * 65536, HEAD + b"\r\n"),
        lambda _: forever(
            b"10000\r\n" + b" " * 65536 + b"\r\n", HEAD + b"transfer-encoding: chunked\r\n\r\n"
        ),
        lambda _: forever(b"x: y\r\n" * 1000, HEAD),
        lambda _: forever(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        lambda _: forever(b"x" * 65536, b"HTTP/1.1 200 "),
        lambda _: forever(b"x: y\r\n" * 1000, HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n"),
    ],
    ids=["length", "no length", "chunks", "headers", "interim answers", "status line", "trailers"],
)
def test_an_answer_is_read_no_further_than_rows_take(ask: Callable[..., Any], answer: Answer) -> None:
    with pytest.raises(
        EndpointError, match=r"answered more than 67584 bytes for 1 rows|got more than|can't be"
    ):
        ask(answer, timeout=20)
    time.sleep(0.05)
    assert ask.services[0].sent < 20_000_000  # type: ignore[attr-defined]  # what the system buffers


def test_the_bound_grows_with_the_rows(ask: Callable[..., Any]) -> None:
    values = json.dumps({"predictions": [1.0] * 100, "noise": "x" * 150_000}).encode()
    assert ask(ok(values), rows=100) == [1.0] * 100
    with pytest.raises(EndpointError, match=r"or lower endpoint: max_batch_rows|answered more than"):
        ask(ok(values), rows=1)


def test_a_compressed_answer_is_not_unpacked(ask: Callable[..., Any]) -> None:
    packed = gzip.compress(b" " * 10_000_000)
    with pytest.raises(EndpointError, match="in the encoding gzip, which was not asked for"):
        ask(lambda _: [HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed])
    assert b"accept-encoding: identity" in ask.services[0].requests[0].lower()  # type: ignore[attr-defined]


@pytest.mark.parametrize("cut", [0, 10, 60, 90])
def test_a_connection_that_closes_early(ask: Callable[..., Any], cut: int) -> None:
    whole = next(iter(ok(ANSWER)(b"")))
    with pytest.raises(EndpointError, match=r"can't be reached|other than JSON"):
        ask(lambda _: [whole[:cut]])


@pytest.mark.parametrize("place", ["http://127.0.0.1:1/", "file:///etc/passwd", "//evil.example"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(ask: Callable[..., Any], place: str, status: int) -> None:
    head = f"HTTP/1.1 {status} Elsewhere\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n"
    with pytest.raises(EndpointError, match=f"answered HTTP {status}") as caught:
        ask(lambda _: [head.encode()], told={"bearer": SECRET})
    assert "Redirects are not followed" in caught.value.hint
    assert len(ask.services[0].requests) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"predictions": [1, 2]}', "returned 2 predictions for 1 rows"),
        (b'{"predictions": []}', "returned 0 predictions for 1 rows"),
        (b'{"predictions": ["x"]}', "answered 'x', which is not of type double precision"),
        (b'{"predictions": [[1, 2]]}', "which is not of type"),
        (b'{"predictions": [true]}', "which is not of type"),
        (b'{"predictions": {"a": 1}}', "other than JSON with a list"),
        (b"[" * 60_000, "other than JSON with a list"),
        (b'{"predictions": [' + b"9" * 60_000 + b"]}", "other than JSON with a list"),
        (b"\x00\x1b[31m\xff", "other than JSON with a list .*: [?]"),
        (b"", "other than JSON"),
    ],
)
def test_wrong_answers_are_one_error(ask: Callable[..., Any], body: bytes, text: str) -> None:
    with pytest.raises(EndpointError, match=text) as caught:
        ask(ok(body))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("returns", "body", "expected"),
    [
        *(
            ("double precision", b"NaN", "nan"),
            ("double precision", b"null", None),
            ("integer", b"NaN", None),
        ),
        *(("double precision", b"1e999", "inf"), ("text", b'"\xc3\xa9"', "é"), ("bigint", b"9e3", 9000)),
    ],
)
def test_values_that_have_a_meaning(
    ask: Callable[..., Any], returns: str, body: bytes, expected: Any
) -> None:
    [value] = ask(ok(b'{"predictions": [%s]}' % body), returns=returns)
    assert (str(value) if isinstance(value, float) else value) == expected


@pytest.mark.parametrize(
    ("returns", "body"),
    [
        *(("smallint", b"32768"), ("integer", b"2147483648"), ("bigint", b"1e300"), ("integer", b"Infinity")),
        *(("text", rb'"a\u0000b"'), ("text", rb'"\ud800"'), ("boolean", b'"perhaps"'), ("integer", b"1.5")),
    ],
)
def test_values_that_the_type_cannot_hold(ask: Callable[..., Any], returns: str, body: bytes) -> None:
    with pytest.raises(EndpointError, match=f"which is not of type {returns}"):
        ask(ok(b'{"predictions": [%s]}' % body), returns=returns)


ECHOES = {
    "as it is": SECRET,
    "in lower case": SECRET.lower(),
    "in a URL": quote(SECRET, safe=""),
    "twice in a URL": quote(quote(SECRET, safe=""), safe=""),
    "in JSON": json.dumps({"authorization": f"Bearer {SECRET}"}),
    "in JSON's escapes": "".join(f"\\u{ord(letter):04x}" for letter in SECRET),
    "in HTML's entities": "".join(f"&#{ord(letter)};" for letter in SECRET),
    "percent by percent": "".join(f"%{ord(letter):02X}" for letter in SECRET),
    "in base64": base64.b64encode(f"Bearer {SECRET}".encode()).decode(),
    "in base64 of a header": base64.b64encode(f"authorization: Bearer {SECRET}".encode()).decode(),
    "in hex": SECRET.encode().hex(),
    "the beginning": f"no key {SECRET[:12]}...",
    "the end": f"no key ...{SECRET[-13:]}",
    "spaced": " ".join(SECRET),
    "on lines": "\n".join(SECRET[k : k + 5] for k in range(0, len(SECRET), 5)),
    "backwards": SECRET[::-1],
}


CODED = ("in a URL", "in JSON's escapes", "in HTML's entities", "percent by percent", "in hex", "backwards")


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("where", ["401", "200", "status line", "value"])
def test_no_text_shows_the_secret(ask: Callable[..., Any], echo: str, where: str) -> None:
    said = ECHOES[echo].encode()
    answers: dict[str, Answer] = {
        "401": lambda _: [b"HTTP/1.1 401 No\r\ncontent-length: %d\r\n\r\n" % len(said) + said],
        "200": ok(said),
        "status line": lambda _: [said.replace(b"\n", b" ") + b"\r\n\r\n"],
        "value": ok(json.dumps({"predictions": [said.decode()]}).encode()),
    }
    with pytest.raises(EndpointError) as caught:
        ask(answers[where], told={"bearer": SECRET})
    shown = "".join(letter for letter in f"{caught.value} {caught.value.hint}" if letter.isalnum()).lower()
    told = "".join(letter for letter in SECRET if letter.isalnum()).lower()
    assert "***" in str(caught.value)
    assert not any(told[k : k + 7] in shown for k in range(len(told) - 6))
    if echo in CODED:
        coded = "".join(letter for letter in ECHOES[echo] if letter.isalnum()).lower()
        assert not any(coded[k : k + 12] in shown for k in range(len(coded) - 11))


def test_a_service_cannot_answer_with_the_secret(ask: Callable[..., Any]) -> None:
    body = json.dumps({"predictions": [f"your key is {SECRET}"]}).encode()
    with pytest.raises(EndpointError, match="answered with the secret"):
        ask(ok(body), told={"headers": {"x-api-key": SECRET}}, returns="text")
    assert ask(ok(b'{"predictions": ["gold"]}'), told={"bearer": SECRET}, returns="text") == ["gold"]


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"bearer": f"{SECRET}\r\nx: y"}, "characters that no header can have"),
        ({"bearer": f"{SECRET}…"}, "characters that no header can have"),
        ({"headers": {"x-key": f"{SECRET}\n"}}, "characters that no header can have"),
        ({"headers": {f"x {SECRET}": "y"}}, "a name that HTTP doesn't allow"),
        ({"headers": [SECRET]}, "an object of texts"),
        ({"headers": {"x": 7}}, "must be texts"),
        ({"bearer": {"x": SECRET}}, "must be texts"),
    ],
)
def test_a_secret_that_cannot_be_sent_is_not_shown(ask: Callable[..., Any], told: Any, text: str) -> None:
    with pytest.raises(EndpointError, match=text) as caught:
        ask(ok(ANSWER), told=told)
    assert SECRET not in str(caught.value) + caught.value.hint
    assert ask.services[0].requests == []  # type: ignore[attr-defined]


def test_user_and_password_of_basic_authentication() -> None:
    basic = "Basic " + base64.b64encode(b"analytics:correct horse").decode()
    assert Scrubber([basic]).clean("user analytics, password correct horse") == "user ***, password ***"


def test_words_of_the_service_stay() -> None:
    text = "Bearer token expired at 12:00: ask the owner"
    assert Scrubber([f"Bearer {SECRET}", "abc"]).clean(text) == text
    assert Scrubber(["abc"]).clean("key abc") == "key ***"
