"""Reading and writing Postgres's values on the server."""

from __future__ import annotations

import numpy as np
import pytest
from postgres_ml.serve.values import reader, writer


@pytest.mark.parametrize(
    ("kind", "text", "instant"),
    [
        ("date", "2024-02-29", "2024-02-29T00:00:00"),
        ("date", "0044-03-15 BC", "-0043-03-15T00:00:00"),
        ("timestamp", "2024-02-29 13:45:59.5", "2024-02-29T13:45:59.500000"),
        ("timestamp", "2024-02-29T13:45:59", "2024-02-29T13:45:59"),
        ("timestamptz", "2024-02-29 13:45:59+00", "2024-02-29T13:45:59"),
        ("time", "24:00:00", "1970-01-02T00:00:00"),
        ("time", "01:00:00.000001+02:30", "1969-12-31T22:30:00.000001"),
    ],
)
def test_moments(kind: str, text: str, instant: str) -> None:
    assert reader(kind, "")(text) == np.datetime64(instant, "us")


@pytest.mark.parametrize("text", [None, "infinity", "-infinity", "300000-01-01"])
def test_moments_that_are_missing(text: str | None) -> None:
    assert np.isnat(reader("timestamp", "")(text))


def test_labels_become_the_functions_type() -> None:
    assert [writer(kind)(1.0) for kind in ("boolean", "integer", "double precision", "text")] == [
        True,
        1,
        1.0,
        "1",
    ]
    assert writer("text")(True) == "true"
    assert writer("integer")(float("nan")) is None
