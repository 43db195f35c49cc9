"""Shapley values of any function of the features, by sampling (Štrumbelj and Kononenko 2014).

For a row and another of the background, the features are changed from the other's to the row's values in a
random order: what the prediction moves by at each is one sample. A walk's moves add up to the difference
of the two predictions, whatever the order; each order is walked backwards too, which halves the variance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
MAX_CELLS = 20_000_000  # values predicted from, in all
MAX_PREDICTIONS = 60_000  # in all, so that a slow pipeline is not asked for millions
CHUNK_CELLS = 2_000_000
MAX_ORDERS = 24


def sampled_shap_values(
    score: Callable[[pd.DataFrame], Floats],
    rows: pd.DataFrame,
    background: pd.DataFrame,
    names: list[str],
    seed: int,
    most: int = MAX_PREDICTIONS,
) -> Floats:
    """Return Shapley values of shape (n_outputs, n_rows, n_names).

    Parameters
    ----------
    score : takes rows, returns (n_rows, n_outputs)
    names : the columns that `score` looks at; all others keep the row's values
    most : predictions in all, about
    """
    generator = np.random.default_rng(seed)
    walk = len(names) + 1
    affordable = min(MAX_CELLS // len(names), most) // (len(rows) * walk)
    n_orders = int(np.clip(affordable, 2, MAX_ORDERS)) // 2 * 2
    size = max(1, CHUNK_CELLS // (n_orders * walk * len(names)))
    parts = []
    for start in range(0, len(rows), size):
        chunk = np.arange(start, min(start + size, len(rows)))
        other = generator.integers(len(background), size=(len(chunk), n_orders // 2)).repeat(2, axis=1)
        rank = np.argsort(generator.random((len(chunk), n_orders // 2, len(names))), axis=2)
        # the backward walk beside the forward one: axis (row, order, name)
        rank = np.stack([rank, len(names) - 1 - rank], axis=2).reshape(len(chunk), n_orders, len(names))
        values = score(_walks(rows.iloc[chunk], background.iloc[other.ravel()], names, rank))
        values = values.reshape(len(chunk), n_orders, walk, -1)
        moves = np.diff(values, axis=2)  # of the feature whose rank is the step's number
        parts.append(np.take_along_axis(moves, rank[..., None], axis=2).mean(axis=1))
    return np.concatenate(parts).transpose(2, 0, 1)


def _walks(rows: pd.DataFrame, others: pd.DataFrame, names: list[str], rank: Any) -> pd.DataFrame:
    """Return the rows on the way from the others to `rows`, in the order (row, order, step)."""
    n_rows, n_orders, _ = rank.shape
    walk = len(names) + 1
    frame = rows.iloc[np.repeat(np.arange(n_rows), n_orders * walk)].reset_index(drop=True)
    replaced = {}
    for position, name in enumerate(names):
        arrived = np.arange(walk) > rank[:, :, position, None]
        there = np.repeat(others[name].to_numpy(), walk)
        replaced[name] = np.where(arrived.ravel(), frame[name].to_numpy(), there)
    return frame.assign(**replaced)
