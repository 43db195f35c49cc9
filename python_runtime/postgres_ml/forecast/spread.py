"""Percentiles from means and widths: the quantiles of the backtest's own errors, in units of the widths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from postgres_ml.snapshot.rows import Array

PRIOR_ERRORS = 30.0  # errors that the normal distribution counts as
DEPENDENT = 4  # errors of one window that count as one: they follow each other


def standard_quantiles(levels: Sequence[float], errors: Array, horizon: int) -> Array:
    """Return the levels' quantiles of errors in units of their widths, of shape (n_levels,), increasing.

    Parameters
    ----------
    errors : ndarray of shape (n,), of all windows and series; without any they are the normal distribution's
    """
    normal = norm.ppf(levels)
    if not len(errors):
        return np.asarray(normal)
    n = len(errors) / min(horizon, DEPENDENT)
    share = n / (n + PRIOR_ERRORS)
    return np.maximum.accumulate(share * np.quantile(errors, levels) + (1 - share) * normal)


def quantiles(
    mean: Array, width: Array, levels: Sequence[float], standard: Array, least: float | None
) -> dict[float, Array]:
    """Return the percentiles of each step by level.

    Parameters
    ----------
    least : below which none is; None is no limit
    """
    found = {level: mean + z * width for level, z in zip(levels, standard.tolist(), strict=True)}
    return found if least is None else {level: np.maximum(v, least) for level, v in found.items()}
