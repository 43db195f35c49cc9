"""Drawing data and hyperparameters: by hypothesis in the tests, by a seed elsewhere."""

from __future__ import annotations

import datetime
import random
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from postgres_ml.program.program import Input


class Draw(Protocol):
    """Where a case takes its choices from."""

    def choice(self, options: Sequence[Any]) -> Any: ...

    def integer(self, low: int, high: int) -> int: ...


class SeededDraw:
    """Choices from a seed, for runtimes that test one draw of each case."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)

    def choice(self, options: Sequence[Any]) -> Any:
        return self._source.choice(list(options))

    def integer(self, low: int, high: int) -> int:
        return self._source.randint(low, high)


class HypothesisDraw:
    """Choices from hypothesis' `data()` strategy."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def choice(self, options: Sequence[Any]) -> Any:
        return self._data.draw(st.sampled_from(list(options)))

    def integer(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))


NUMBERS = (
    Input("amount", "double precision", "number"),
    Input("ratio", "real", "number"),
    Input("price", "numeric", "number"),
    Input("quantity", "integer", "number"),
)
FLAG = Input("is_member", "boolean", "boolean")
TEXTS = (Input("état", "text", "text"), Input("plan", "character varying", "text"))
NOTES = Input("notes", "text", "text")
MOMENTS = (
    Input("born", "date", "date"),
    Input("seen_at", "timestamp without time zone", "timestamp"),
    Input("paid_at", "timestamp with time zone", "timestamptz"),
    Input("opens", "time without time zone", "time"),
    Input("calls_at", "time with time zone", "time"),
)
STATES = ["WA", "OR", "Ça", "", "O'Brien", "日本"]
WORDS = [
    "good", "Bad", "GREAT", "naïve", "ÄRGER", "ßtraße", "ΣΊΣΥΦΟΣ", "Ёлка", "日本語", "東京、", "🦉", "e\u0301t\u00e9", "don't",
    "a\u200db", "x\u00ady", "\u2028", "Ⅷ", "İ", "ａＢ", "10%", "\ufeff", "\U0001F468\u200d\U0001F469", "Ȿ", "ǅ", "ﬁ",
]  # fmt: skip
PLANS = ["basic", "plus", "max"]


def draw_frame(draw: Draw, n_rows: int = 160, *, nulls: bool = True) -> pd.DataFrame:
    """Return a frame of all kinds of columns; `nulls` puts missing values into about one cell in eight."""
    source = np.random.default_rng(draw.integer(0, 2**16))
    amount = np.exp(source.normal(size=n_rows))
    frame = pd.DataFrame(
        {
            "amount": amount,
            # values of a real column are single precision
            "ratio": source.normal(size=n_rows).astype(np.float32).astype(np.float64),
            "price": np.round(source.gamma(2.0, 50.0, size=n_rows), 2),
            "quantity": source.integers(-3, 9, size=n_rows).astype(np.float64),
            "is_member": source.integers(0, 2, size=n_rows).astype(np.float64),
            "état": pd.Series(
                source.choice(STATES, p=[0.3, 0.25, 0.2, 0.15, 0.07, 0.03], size=n_rows), dtype=object
            ),
            "plan": pd.Series(source.choice(PLANS, p=[0.6, 0.35, 0.05], size=n_rows), dtype=object),
            "born": np.datetime64("1960-01-01")
            + source.integers(0, 20000, size=n_rows).astype("timedelta64[D]"),
            "seen_at": np.datetime64("2019-11-03T00:00:00", "us")
            + source.integers(0, 10**14, size=n_rows).astype("timedelta64[us]"),
            "paid_at": np.datetime64("2020-02-28T12:00:00", "us")
            + source.integers(0, 10**14, size=n_rows).astype("timedelta64[us]"),
            "opens": _times(source, n_rows),
            "calls_at": _times(source, n_rows),
            "notes": _notes(source, n_rows),
        }
    )
    frame["born"] = frame["born"].astype("datetime64[us]")
    if nulls:
        for name in frame:
            frame.loc[source.random(n_rows) < 0.12, name] = None
    return frame


def _notes(source: np.random.Generator, n_rows: int) -> pd.Series:
    """Free texts of hostile words, between hostile separators."""
    between = [" ", " ", "\n", ", ", "\u00a0", "—", "_", "\u3000"]
    lengths = source.integers(0, 9, size=n_rows)
    texts = ["".join(source.choice(WORDS) + source.choice(between) for _ in range(n)) for n in lengths]
    return pd.Series(texts, dtype=object)


def _times(source: np.random.Generator, n_rows: int) -> pd.Series:
    """Times of day as drivers give them."""
    seconds = source.integers(0, 86_400, size=n_rows)
    start = datetime.datetime(1970, 1, 1)
    return pd.Series([(start + datetime.timedelta(seconds=int(s))).time() for s in seconds], dtype=object)


def draw_targets(frame: pd.DataFrame, draw: Draw) -> dict[str, np.ndarray]:
    """Return targets that depend on all columns: regression, binary (text), multiclass (text), by problem."""
    source = np.random.default_rng(draw.integer(0, 2**16))
    signal = (
        np.log(frame["amount"].fillna(1.0))
        + frame["ratio"].fillna(0.3)
        + frame["price"].fillna(40.0) / 100
        + 0.2 * frame["quantity"].fillna(2.0)
        + (frame["plan"] == "plus")
        + 0.7 * (frame["état"] == "WA")
        + 0.5 * frame["is_member"].fillna(0.5)
        + source.normal(scale=0.4, size=len(frame))
    ).to_numpy(dtype=np.float64)
    low, middle, high = np.quantile(signal, [0.3, 0.5, 0.65])
    return {
        "regression": signal,
        "binary": np.where(signal > middle, "yes", "no"),
        "multiclass": np.where(signal > high, "high", np.where(signal > low, "middle", "böttom")),
    }
