"""What stands in requests to a scoring server and in its answers, by protocol.

The source of this module stands in the functions, before that of `client`: standard library only.
"""

from __future__ import annotations

import csv
import decimal
import io
import json
import math
import re
from typing import Any

from postgres_ml.endpoint.scrub import Scrubber

NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
INTEGERS = ("smallint", "integer", "bigint")
WHOLE = re.compile(r"\s*[+-]?[0-9]{1,400}\s*\Z")
MOST_DIGITS = 16000  # of a numeric, before or after its point: Postgres keeps a few more
RANGE = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
DIGITS = 400  # more than any double has
SHOWN = 200  # characters of an answer in an error


class EndpointError(Exception):
    """A request that failed for good; `hint` is what to do, `sqlstate` its class."""

    def __init__(self, text: str, hint: str = "", sqlstate: str = "38000") -> None:
        super().__init__(text)
        self.hint, self.sqlstate = hint, sqlstate


class PassingError(EndpointError):
    """A request that failed, and may succeed later."""


class Messages:
    """Rows as requests, and answers as values of the function's type.

    Parameters
    ----------
    about : the fields of `spec.Endpoint`, 'columns' as [name, SQL type], 'returns', and 'function' for errors
    who : the endpoint in errors
    scrubber : takes the secrets out of what the service wrote
    """

    def __init__(self, about: dict[str, Any], who: str) -> None:
        self.about, self.who = about, who
        self.scrubber = Scrubber(())

    def shown(self, text: str) -> str:
        """Return the beginning of what a service wrote, as an error may show it: without the secrets."""
        cleaned = self.scrubber.clean(" ".join(text[: 4 * SHOWN].split()))[:SHOWN]
        return "".join(letter if letter.isprintable() else "?" for letter in cleaned)

    def can_be_sent(self, row: list[Any]) -> bool:
        """JSON has no infinities, and the Open Inference Protocol no missing values."""
        if any(isinstance(v, float) and math.isinf(v) for v in row):
            return False
        return self.about["protocol"] != "kserve" or all(map(_given, row))

    def request(self, rows: list[list[Any]]) -> tuple[str, bytes]:
        """Return content type and body for some rows."""
        protocol, columns = self.about["protocol"], self.about["columns"]
        if protocol == "sagemaker":
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerows([["" if not _given(v) else _csv(v) for v in row] for row in rows])
            return "text/csv", text.getvalue().encode()
        if protocol == "kserve":
            inputs = []
            for position, (name, kind) in enumerate(columns):
                values = [row[position] for row in rows]
                datatype = "BOOL" if kind == "boolean" else "FP64" if kind in NUMBERS else "BYTES"
                values = [float(v) if datatype == "FP64" else v for v in values]
                inputs.append({"name": name, "shape": [len(rows)], "datatype": datatype, "data": values})
            return "application/json", json.dumps({"inputs": inputs}).encode()
        data = [[v if _given(v) else None for v in row] for row in rows]
        split = {"columns": [name for name, _ in columns], "data": data}
        return "application/json", json.dumps({"dataframe_split": split}).encode()

    def values(self, answer: bytes) -> list[Any]:
        """Return the predictions in an answer, as the server wrote them.

        Raises
        ------
        EndpointError
            The answer is something else.
        """
        protocol = self.about["protocol"]
        text = answer.decode("utf-8", "replace")
        if protocol == "sagemaker":
            try:
                lines = [row for row in csv.reader(io.StringIO(text)) if row]
            except csv.Error as error:
                raise EndpointError(f"{self.who} answered something other than CSV: {error}") from None
            # one value a line, or all in one line, as SageMaker's own algorithms answer
            if len(lines) == 1:
                return lines[0]
            wide = next((row for row in lines if len(row) > 1), None)
            if wide is not None:
                raise EndpointError(
                    f"{self.who} answered {len(wide)} values for a row, and a prediction is one: "
                    f"{self.shown(','.join(wide))}"
                )
            return [row[0] for row in lines]
        try:
            exact = decimal.Decimal if self.about["returns"] == "numeric" else None
            found = json.loads(text, parse_int=_integer, parse_float=exact)
            values = found["outputs"][0]["data"] if protocol == "kserve" else found["predictions"]
            if not isinstance(values, list):
                raise TypeError("no list")
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            wanted = 'outputs[0]["data"]' if protocol == "kserve" else '"predictions"'
            raise EndpointError(
                f"{self.who} answered something other than JSON with a list {wanted}: {self.shown(text)}"
            ) from None
        return [
            value[0] if isinstance(value, list) and len(value) == 1 else _first(value) for value in values
        ]

    def typed(self, value: Any) -> Any:
        """Return the value as the function's type takes it.

        Raises
        ------
        EndpointError
            It is of another type.
        """
        returns = self.about["returns"]
        if value is None or (isinstance(value, str) and value == "" and returns in (*NUMBERS, "boolean")):
            return None
        try:
            if returns in NUMBERS and isinstance(value, str) and "_" in value:
                raise ValueError  # Python alone reads 1_000 as a number
            if returns == "boolean":
                return {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}[
                    str(value).lower()
                ]
            if returns in INTEGERS:
                if isinstance(value, str) and WHOLE.match(value):
                    value = int(value)  # a double has 53 bits
                number = float(value)
                if math.isnan(number):
                    return None
                if not number.is_integer():
                    raise ValueError
                whole = int(value) if isinstance(value, int) else int(number)
                if not -RANGE[returns] <= whole < RANGE[returns]:
                    raise ValueError
                return whole
            if returns in NUMBERS:
                if isinstance(value, bool):
                    raise ValueError
                return _numeric(value) if returns == "numeric" else float(value)
            if isinstance(value, (list, dict)):
                raise ValueError
            if isinstance(value, str) and "\x00" in value.encode().decode():  # raises where no UTF-8 has it
                raise ValueError
        except (ValueError, TypeError, KeyError, OverflowError, decimal.InvalidOperation):
            raise EndpointError(
                f"{self.who} answered '{self.shown(str(value))}', which is not of type {returns}, which "
                f"{self.about['function']} returns"
            ) from None
        if isinstance(value, str) and self.scrubber.holds_secret(value):
            raise EndpointError(f"{self.who} answered with the secret that it was sent")
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        return str(value).lower() if isinstance(value, bool) else str(value)


def _first(value: Any) -> Any:
    """A server may answer a list or an object for each row; of one field the value counts."""
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    return next(iter(value.values())) if isinstance(value, dict) and len(value) == 1 else value


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:  # reading them takes the square of their number
        raise ValueError("an integer of too many digits")
    return int(digits)


def _numeric(value: Any) -> decimal.Decimal:
    """Return the number with all of its digits; infinity and NaN are as they are, what is next to 0 is 0."""
    if not isinstance(value, (int, float, str, decimal.Decimal)):
        raise ValueError
    number = decimal.Decimal(repr(value) if isinstance(value, float) else value)
    if number.is_nan():
        return decimal.Decimal("NaN")  # Postgres knows neither a sign of it nor digits
    if number.is_finite() and number.adjusted() >= MOST_DIGITS:
        raise ValueError
    return decimal.Decimal(0) if number.is_finite() and number.adjusted() <= -MOST_DIGITS else number


def _given(value: Any) -> bool:
    return value is not None and value == value


def _csv(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)
