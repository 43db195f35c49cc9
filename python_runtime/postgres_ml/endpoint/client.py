"""Calls a scoring server from inside a Postgres backend: one row, or many in requests of limited size.

The source of this module stands in the functions and runs in the server's own Python: standard library only,
nothing of this package but `messages` and `sigv4`, whose sources are there too.
"""

from __future__ import annotations

import array
import http.client
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from postgres_ml.endpoint.messages import INTEGERS, NUMBERS, SHOWN, EndpointError, Messages
from postgres_ml.endpoint.sigv4 import signed_headers

PASSING = (429, 500, 502, 503, 504)  # an attempt later may succeed


class Client:
    """A scoring server that answers rows and batches.

    Parameters
    ----------
    about : the fields of `spec.Endpoint`, 'columns' as [name, SQL type], 'returns', and 'function' for errors
    read_secret : returns the row of postgres_ml.endpoint that allows the URL, or None
    sleep : waits for some seconds in a way that a cancelled query ends
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
        self.connection: http.client.HTTPConnection | None = None
        self.connected_with: str | None = None

    def predict(self, arguments: Sequence[Any]) -> Any:
        """Return the prediction for one row of Postgres's values."""
        return self._ask([[_plain(v) for v in arguments]])[0]

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
        values = self.messages.values(self._post(content_type, body))
        if len(values) != len(sent):
            raise EndpointError(f"{self._who} returned {len(values)} predictions for {len(sent)} rows")
        for i, value in zip(sent, values):  # noqa: B905  # as above
            answers[i] = self.messages.typed(value)
        return answers

    def _post(self, content_type: str, body: bytes) -> bytes:
        """Return the answer's body; tries again after errors that may pass, each time waiting longer."""
        for attempt in range(self.about["retries"] + 1):
            last = attempt == self.about["retries"]
            try:
                status, answer = self._send(content_type, body)
            except ssl.SSLCertVerificationError as error:
                raise EndpointError(
                    f"{self._who} has no valid certificate: {error.verify_message}",
                    "To trust your own certificate authority, set ca_file in postgres_ml.endpoint's secret.",
                    "08006",
                ) from error
            except ssl.SSLError as error:
                raise EndpointError(
                    f"{self._who}: TLS fails: {error.reason or error}", "", "08006"
                ) from error
            except TimeoutError as error:
                if last:
                    raise EndpointError(
                        f"{self._who} gave no answer within {self.about['timeout']:g} s",
                        "Raise endpoint: timeout, or send fewer rows at once (max_batch_rows).",
                        "08006",
                    ) from error
            except (OSError, http.client.HTTPException) as error:
                if last:
                    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                    raise EndpointError(f"{self._who} can't be reached: {reason}", "", "08001") from error
            else:
                if status == 200:
                    return answer
                if last or status not in PASSING:
                    raise self._refused(status, answer)
            self.close()
            self.sleep(0.1 * 2**attempt)
        raise AssertionError("unreachable")

    def _refused(self, status: int, answer: bytes) -> EndpointError:
        text = " ".join(answer.decode("utf-8", "replace").split())[:SHOWN]
        hint = ""
        if status in (401, 403):
            hint = "Check this endpoint's secret in postgres_ml.endpoint."
        elif 300 <= status < 400:
            hint = "Redirects are not followed: set endpoint: url to the final address."
        return EndpointError(f"{self._who} answered HTTP {status}: {text}", hint)

    def _send(self, content_type: str, body: bytes) -> tuple[int, bytes]:
        secret = self.read_secret()
        if secret is None:
            raise EndpointError(
                f"{self._who} is not in the table postgres_ml.endpoint, which lists what may be called",
                "Its owner adds it: insert into postgres_ml.endpoint (name, url_prefix) values (…).",
                "42501",
            )
        headers = {"content-type": content_type, **secret.get("headers", {})}
        headers["accept"] = content_type
        if secret.get("bearer"):
            headers["authorization"] = f"Bearer {secret['bearer']}"
        if self.about["protocol"] == "sagemaker" and self.about["model"]:
            headers["x-amzn-sagemaker-target-model"] = self.about["model"]
        if secret.get("access_key_id"):
            moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            host = self.parts.netloc
            headers = signed_headers(secret, host, self.path, body, headers, self._region(), moment)
        connection = self._connect(secret.get("ca_file"))
        try:
            connection.request("POST", self.path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except BaseException:
            self.close()
            raise

    def _connect(self, ca_file: str | None) -> http.client.HTTPConnection:
        if self.connection is None or self.connected_with != ca_file:
            host, port, timeout = self.parts.hostname or "", self.parts.port, self.about["timeout"]
            if self.parts.scheme == "https":
                context = self._context(ca_file)
                self.connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
            else:
                self.connection = http.client.HTTPConnection(host, port, timeout=timeout)
            self.connected_with = ca_file
        return self.connection

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
        if self.connection is not None:
            self.connection.close()
            self.connection = None

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
    if kind == "boolean":
        return bool(value)
    return int(value) if kind in INTEGERS else value
