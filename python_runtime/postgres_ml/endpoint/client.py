"""Calls a scoring server from inside a Postgres backend: one row, or many in requests of limited size.

The source of this module stands in the functions and runs in the server's own Python: standard library only,
nothing of this package but the other modules of this folder, whose sources are there too.
"""

from __future__ import annotations

import array
import http.client
import re
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from postgres_ml.endpoint.messages import INTEGERS, NUMBERS, EndpointError, Messages, PassingError
from postgres_ml.endpoint.scrub import Scrubber
from postgres_ml.endpoint.sigv4 import signed_headers
from postgres_ml.endpoint.transport import Clock, Line, Overdue, TooLong, connect, exchange

#: bytes that an answer may have, for all rows and for each, and at most
LEAST_ANSWER, ROW_ANSWER, LONGEST_ANSWER = 2**16, 2**11, 2**26
CREDENTIALS = ("bearer", "access_key_id", "secret_access_key", "session_token")
PASSING = (429, 500, 502, 503, 504)  # an attempt later may succeed


class Client:
    """A scoring server that answers rows and batches.

    Parameters
    ----------
    about : the fields of `spec.Endpoint`, 'columns' as [name, SQL type], 'returns', and 'function' for errors
    read_secret : returns the row of postgres_ml.endpoint that allows the URL, or None
    sleep : waits for some seconds, 0 included, in a way that a cancelled query ends
    """

    def __init__(
        self,
        about: dict[str, Any],
        read_secret: Callable[[], dict[str, Any] | None],
        sleep: Callable[[float], Any],
    ) -> None:
        self.about, self.read_secret, self.sleep = about, read_secret, sleep
        self.parts = urlsplit(about["url"])
        self.path = self.parts.path or "/"
        if about["protocol"] == "mlflow" and not self.path.endswith("/invocations"):
            self.path = self.path.rstrip("/") + "/invocations"
        if about["protocol"] == "kserve":
            self.path = f"{self.path.rstrip('/')}/v2/models/{about['model']}/infer"
        self.messages = Messages(about, self._who)
        self.line: Line | None = None
        self.connected_with: str | None = None

    def predict(self, arguments: Sequence[Any]) -> Any:
        """Return the prediction for one row of Postgres's values."""
        columns = self.about["columns"]
        row = [_typed(_plain(v), kind) for v, (_, kind) in zip(arguments, columns)]  # noqa: B905  # as below
        return self._ask([row])[0]

    def batch(self, numbers: bytes, *others: Sequence[Any]) -> list[Any]:
        """Return predictions for many rows.

        Parameters
        ----------
        numbers : doubles in network byte order, row by row, of the columns that are numbers or booleans
        others : a list for each other column, in order
        """
        doubles = array.array("d", numbers)
        if sys.byteorder == "little":
            doubles.byteswap()
        kinds = [kind for _, kind in self.about["columns"]]
        n_numbers = sum(kind in NUMBERS or kind == "boolean" for kind in kinds)
        rest, columns, position = iter(others), [], 0
        for kind in kinds:
            if kind in NUMBERS or kind == "boolean":
                columns.append([_restored(v, kind) for v in doubles[position::n_numbers]])
                position += 1
            else:
                columns.append(list(next(rest)))
        rows = [list(row) for row in zip(*columns)]  # noqa: B905  # of one length: Python 3.9 lacks strict
        size, answers = self.about["max_batch_rows"], []
        for start in range(0, len(rows), size):
            answers += self._ask(rows[start : start + size])
        return answers

    def _ask(self, rows: list[list[Any]]) -> list[Any]:
        """Return an answer for each row; a row that the protocol can't express gives None, unsent."""
        sent = [i for i, row in enumerate(rows) if self.messages.can_be_sent(row)]
        answers: list[Any] = [None] * len(rows)
        if not sent:
            return answers
        content_type, body = self.messages.request([rows[i] for i in sent])
        values = self.messages.values(self._post(content_type, body, len(sent)))
        if len(values) != len(sent):
            raise EndpointError(f"{self._who} returned {len(values)} predictions for {len(sent)} rows")
        for i, value in zip(sent, values):  # noqa: B905  # as above
            answers[i] = self.messages.typed(value)
        return answers

    def _post(self, content_type: str, body: bytes, n_rows: int) -> bytes:
        """Return the answer's body, by one deadline for all attempts and the waits between them."""
        clock = Clock(self.about["timeout"], self.sleep)
        for attempt in range(self.about["retries"] + 1):
            wait = 0.1 * 2**attempt
            try:
                return self._attempt(content_type, body, n_rows, clock)
            except PassingError:
                self.close()
                if attempt == self.about["retries"] or wait >= clock.end - time.monotonic():
                    raise
            except BaseException:  # a cancelled query too: what comes next would answer another request
                self.close()
                raise
            clock.sleep(wait)
        raise AssertionError("unreachable")

    def _attempt(self, content_type: str, body: bytes, n_rows: int, clock: Clock) -> bytes:
        """Return the answer's body.

        Raises
        ------
        PassingError
            Another attempt may succeed.
        EndpointError
            None will.
        """
        who, shown = self._who, self.messages.shown
        allowed = min(LEAST_ANSWER + ROW_ANSWER * n_rows, LONGEST_ANSWER)
        try:
            status, encoding, answer = self._send(content_type, body, allowed, clock)
        except ssl.SSLCertVerificationError as error:
            raise EndpointError(
                f"{who} has no valid certificate: {error.verify_message}",
                "To trust your own certificate authority, set ca_file in postgres_ml.endpoint's secret.",
                "08006",
            ) from None
        except ssl.SSLError as error:
            raise EndpointError(f"{who}: TLS fails: {error.reason or error}", "", "08006") from None
        except Overdue:
            raise EndpointError(
                f"{who} gave no answer within {self.about['timeout']:g} s",
                "Raise endpoint: timeout, or send fewer rows at once (max_batch_rows).",
                "08006",
            ) from None
        except TooLong:
            raise EndpointError(
                f"{who} answered more than {allowed} bytes for {n_rows} rows, which no prediction takes",
                "Let the service answer with the predictions alone, or lower endpoint: max_batch_rows.",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise PassingError(f"{who} can't be reached: {shown(reason)}", "", "08001") from None
        if status != 200:
            raise self._refused(status, answer)
        if encoding not in ("", "identity"):
            raise EndpointError(f"{who} answered in the encoding {shown(encoding)}, which was not asked for")
        return answer

    def _refused(self, status: int, answer: bytes) -> EndpointError:
        text = self.messages.shown(answer.decode("utf-8", "replace"))
        hint = ""
        if status in (401, 403):
            hint = "Check this endpoint's secret in postgres_ml.endpoint."
        elif 300 <= status < 400:
            hint = "Redirects are not followed: set endpoint: url to the final address."
        kind = PassingError if status in PASSING else EndpointError
        return kind(f"{self._who} answered HTTP {status}: {text}", hint)

    def _send(self, content_type: str, body: bytes, allowed: int, clock: Clock) -> tuple[int, str, bytes]:
        """Return status, content encoding and body of the answer."""
        secret = self.read_secret()
        if secret is None:
            raise EndpointError(
                f"{self._who} is not in the table postgres_ml.endpoint, which lists what may be called",
                "Its owner adds it: insert into postgres_ml.endpoint (name, url_prefix) values (…).",
                "42501",
            )
        headers = self._headers(secret, content_type, body)
        line = self._connect(secret.get("ca_file"), clock)
        response, answer = exchange(line, self.parts.netloc, self.path, body, headers, allowed)
        if response.status != 200 or response.will_close:
            self.close()
        return response.status, response.getheader("content-encoding", "").lower(), answer

    def _headers(self, secret: dict[str, Any], content_type: str, body: bytes) -> dict[str, str]:
        """Return the request's headers, and tell the messages what may not be shown of them."""
        own = secret.get("headers") or {}
        values = [secret.get(key) for key in CREDENTIALS]
        self.messages.scrubber = Scrubber(
            [str(value) for value in (*values, *(own.values() if isinstance(own, dict) else ())) if value]
        )
        self._check_secret(own, [value for value in values if value is not None])
        headers = {"content-type": content_type, **own}
        headers["accept"] = content_type
        if secret.get("bearer"):
            headers["authorization"] = f"Bearer {secret['bearer']}"
        if self.about["protocol"] == "sagemaker" and self.about["model"]:
            headers["x-amzn-sagemaker-target-model"] = self.about["model"]
        if secret.get("access_key_id"):
            if not secret.get("secret_access_key"):
                raise self._unusable("it has an access_key_id and no secret_access_key")
            moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            host = self.parts.netloc
            headers = signed_headers(secret, host, self.path, body, headers, self._region(), moment)
            signature = headers["authorization"].rpartition("=")[2]
            self.messages.scrubber = Scrubber(
                [*(str(value) for value in (*values, *own.values()) if value), signature]
            )
        return headers

    def _check_secret(self, own: Any, values: list[Any]) -> None:
        """Check that headers can be made of a secret; http.client's own errors would show it."""
        if not isinstance(own, dict) or not all(isinstance(value, str) for value in (*own.values(), *values)):
            raise self._unusable("its values must be texts, and headers an object of texts")
        if not all(re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) for name in own):
            raise self._unusable("a header has a name that HTTP doesn't allow")
        if not all(re.fullmatch(r"[\t -~\xa0-\xff]*", value) for value in (*own.values(), *values)):
            raise self._unusable("a value has characters that no header can have, such as the end of a line")

    def _unusable(self, reason: str) -> EndpointError:
        return EndpointError(f"{self._who}: its secret in postgres_ml.endpoint can't be used: {reason}")

    def _connect(self, ca_file: str | None, clock: Clock) -> Line:
        """Return a connection: that of the call before, if nothing came over it since."""
        if self.line is not None and (self.connected_with != ca_file or not self.line.is_quiet()):
            self.close()
        if self.line is None:
            is_secure = self.parts.scheme == "https"
            context = self._context(ca_file) if is_secure else None
            port = self.parts.port or (443 if is_secure else 80)
            self.line = connect(self.parts.hostname or "", port, context, clock)
            self.connected_with = ca_file
        self.line.clock = clock
        return self.line

    def _context(self, ca_file: str | None) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=ca_file)
        except OSError as error:  # ssl's errors are OSErrors
            reason = error.strerror or str(error)
            raise EndpointError(
                f"{self._who}: ca_file {ca_file} can't be read: {reason}", "", "08006"
            ) from error

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self.line is not None:
            self.line.hang_up()
            self.line = None

    def _region(self) -> str:
        """Return AWS's region, from the config or from runtime.sagemaker.<region>.amazonaws.com."""
        parts = (self.parts.hostname or "").split(".")
        region = self.about["region"] or (parts[2] if len(parts) > 3 and parts[1] == "sagemaker" else None)
        if region is None:
            raise EndpointError(f"{self._who}: the AWS region is unknown", "Set endpoint: region.")
        return str(region)

    @property
    def _who(self) -> str:
        return f"endpoint {self.parts.scheme}://{self.parts.netloc}{self.path}"


def _plain(value: Any) -> Any:
    """PL/Python hands numeric over as Decimal."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else float(value)


def _restored(value: float, kind: str) -> Any:
    if value != value:
        return None
    return bool(value) if kind == "boolean" else _typed(value, kind)


def _typed(value: Any, kind: str) -> Any:
    """Return a whole number of an integer column, which came as a double, as the integer that it is."""
    return int(value) if kind in INTEGERS and isinstance(value, float) and value.is_integer() else value
