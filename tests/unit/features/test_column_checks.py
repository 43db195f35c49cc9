from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from postgres_ml.features.column_checks import leaks, misread
from postgres_ml.features.problem import Problem

RANDOM = np.random.default_rng(0)
N = 1000
NOISE = RANDOM.normal(size=N)
LABELS = np.array(["no", "yes"], dtype=object)
BINARY = Problem("binary_classification", "f1", "f1", LABELS)
NUMBER = Problem("regression", "mse", "mse", np.empty(0))
CODES = (RANDOM.random(N) < 0.3).astype(int)
TEXTS = pd.Series(np.array(["stays", "left us"])[CODES], dtype=object)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(CODES.astype(float)),
        pd.Series(CODES * 10.0 + NOISE),  # nearly so
        TEXTS,
        TEXTS.where(CODES == 1, None),  # known afterwards: NULL unless it happened
        pd.Series(pd.to_datetime("2020-01-01") + pd.to_timedelta(CODES, unit="D")),
    ],
)
def test_a_feature_that_is_the_label_is_named(column: pd.Series) -> None:
    frame = pd.DataFrame({"noise": NOISE, "cancelled_on": column})
    (warning,) = leaks(BINARY, frame, LABELS[CODES])
    assert (
        warning.startswith('column "cancelled_on" looks like target leakage: ') and "leave it out" in warning
    )


def test_a_feature_that_is_the_number_is_named() -> None:
    target = np.exp(NOISE)
    frame = pd.DataFrame(
        {"noise": RANDOM.normal(size=N), "net": target / 1.19, "good": target + RANDOM.normal(size=N)}
    )
    (warning,) = leaks(NUMBER, frame, target)
    assert '"net"' in warning


def test_good_features_are_no_leaks() -> None:
    good = CODES + RANDOM.normal(scale=0.25, size=N)  # right in 97 of 100
    assert (
        leaks(BINARY, pd.DataFrame({"good": good, "text": pd.Series(["a"] * N, dtype=object)}), LABELS[CODES])
        == []
    )
    assert leaks(BINARY, pd.DataFrame({"good": CODES[:50]}), LABELS[CODES[:50]]) == [], "too few rows to tell"


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ([str(i / 2) for i in range(100)], "holds numbers as text"),
        ([" 7 ", None, "8", "9"] * 10, "holds numbers as text"),
        (["t", "f", None] * 20, "true and false"),
        (["Yes", "no"] * 20, "true and false"),
        (["a", "1", "2"] * 20, None),
        (["1", "2", "3"], None),
        ([None] * 30, None),
    ],
)
def test_texts_that_hold_something_else_are_named(values: list, hint: str | None) -> None:
    found = misread(pd.DataFrame({"Weird x": pd.Series(values, dtype=object)}))
    assert len(found) == (hint is not None)
    assert hint is None or (
        hint in found[0] and (hint != "holds numbers as text" or '"Weird x"::numeric' in found[0])
    )
