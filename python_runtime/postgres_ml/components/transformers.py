"""scikit-learn transformers of our own: fitted pipelines contain them, so they are pickled and parsed.

They read data frames or arrays. Missing values stay missing (NaN) unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from postgres_ml.program.raw_values import calendar_part, read_instants

Floats = npt.NDArray[np.float64]

PERIODS = {"month": 12.0, "day": 31.0, "weekday": 7.0, "day_of_year": 366.0, "hour": 24.0, "minute": 60.0}
"""Length of each calendar part that comes round again, for `cyclical`."""
DATE_PARTS = ("year", "month", "day", "weekday", "epoch")
PARTS: dict[str, tuple[str, ...]] = {
    "date": DATE_PARTS,
    "timestamp": (*DATE_PARTS, "hour"),
    "timestamptz": (*DATE_PARTS, "hour"),
    "time": ("hour", "epoch"),
}
"""By kind of column, what tells something; of a time of day 'epoch' is seconds since midnight."""


class DateTimeVectorizer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Calendar parts of date and timestamp columns, as numbers.

    Parameters
    ----------
    parts : sequence of str
        Of 'year', 'quarter', 'month', 'day', 'weekday' (Monday is 0), 'day_of_year', 'hour', 'minute',
        'second', 'epoch' (seconds since 1970-01-01 00:00 UTC, in double precision).
    cyclical : bool
        Give each part of `PERIODS` as sine and cosine of its place in the period instead.

    Attributes
    ----------
    n_features_in_ : int
    """

    def __init__(self, parts: Sequence[str] = DATE_PARTS, cyclical: bool = False) -> None:
        self.parts = parts
        self.cyclical = cyclical

    def fit(self, X: Any, y: Any = None) -> DateTimeVectorizer:
        """Remember the number of columns.

        Raises
        ------
        ValueError
            An unknown part.
        """
        known = ("year", "quarter", *PERIODS, "second", "epoch")
        unknown = [part for part in self.parts if part not in known]
        if unknown or not self.parts:
            raise ValueError(f"parts={self.parts!r}; use some of {', '.join(known)}")
        validate_data(self, X, skip_check_array=True)
        return self

    def transform(self, X: Any) -> Floats:
        """Return the parts of the first column, then of the second; shape (n_rows, n_outputs)."""
        check_is_fitted(self)
        validate_data(self, X, reset=False, skip_check_array=True)
        values = X.to_numpy() if hasattr(X, "to_numpy") else np.asarray(X)
        columns: list[Floats] = []
        for column in values.T:
            instants = read_instants(column, "timestamp")
            for part in self.parts:
                number = calendar_part(instants, part)
                if self.cyclical and part in PERIODS:
                    angle = number * (2 * np.pi / PERIODS[part])
                    columns += [np.sin(angle), np.cos(angle)]
                else:
                    columns.append(number)
        return np.column_stack(columns)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")


class RobustSmoothClip(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Centre on the median, scale by the quartiles, and bend outliers smoothly into (-3, 3).

    z = (x - median) / scale, then z / sqrt(1 + (z / 3)^2): the numeric preprocessing of RealMLP (Holzmüller,
    Grinsztajn, Steinwart 2024, "Better by default"). The scale is the interquartile range, where that is 0
    half the range, where that is 0 too, 1.

    Attributes
    ----------
    center_, scale_ : ndarray of shape (n_features,)
    """

    def fit(self, X: Any, y: Any = None) -> RobustSmoothClip:
        """Find median and scale of each column, missing values left out."""
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        with np.errstate(all="ignore"):
            low, lower, middle, upper, high = _quantiles(values, (0.0, 0.25, 0.5, 0.75, 1.0))
        scale = np.where(upper > lower, upper - lower, (high - low) / 2)
        self.center_, self.scale_ = middle, np.where(scale > 0, scale, 1.0)
        return self

    def transform(self, X: Any) -> Floats:
        """Return the columns, centred, scaled and bent."""
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        with np.errstate(over="ignore"):
            z = (values - self.center_) / self.scale_
            bent = z / np.sqrt(1 + np.square(z / 3))
        # beyond 1e100 the square may overflow; the limit is reached long before
        return np.asarray(np.where(np.abs(z) > 1e100, np.copysign(3.0, z), bent))


class PiecewiseLinear(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Each number as a ladder: one column per interval between quantiles, 0 below it, 1 above, linear within.

    Piecewise-linear encoding (Gorishniy, Rubachev, Babenko 2022, "On embeddings for numerical features"),
    which lets linear models and networks bend a column. Missing values are 0 in all of its columns'
    intervals, so pair it with a missing-value indicator.

    Parameters
    ----------
    n_pieces : int
        Intervals per column, fewer where quantiles coincide.

    Attributes
    ----------
    edges_ : list of ndarray
        Increasing edges of each column's intervals; a constant column has one edge and no output.
    """

    def __init__(self, n_pieces: int = 12) -> None:
        self.n_pieces = n_pieces

    def fit(self, X: Any, y: Any = None) -> PiecewiseLinear:
        """Find the quantiles of each column, missing values left out."""
        if self.n_pieces < 1:
            raise ValueError(f"n_pieces={self.n_pieces!r}; use 1 or more")
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        levels = np.linspace(0, 1, self.n_pieces + 1)
        self.edges_ = [_distinct(column) for column in _quantiles(values, levels).T]
        return self

    def transform(self, X: Any) -> Floats:
        """Return the ladders, of shape (n_rows, total number of intervals)."""
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        columns = [np.empty((len(values), 0))]
        for column, edges in zip(values.T, self.edges_, strict=True):
            for low, high in pairwise(edges):
                filled = np.where(np.isnan(column), low, column)
                columns.append(np.interp(filled, [low, high], [0, 1])[:, None])
        return np.hstack(columns)


class QuantileNormal(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Each number as the normal score of its quantile, linear between the quantiles.

    What QuantileTransformer(output_distribution='normal') is for, with the interpolation done between the
    normal scores: one table lookup in any runtime, without the normal distribution's inverse.

    Parameters
    ----------
    n_quantiles : int
        Points of the table, fewer where quantiles coincide.

    Attributes
    ----------
    quantiles_, scores_ : list of ndarray
        Increasing quantiles of each column and their normal scores.
    """

    def __init__(self, n_quantiles: int = 100) -> None:
        self.n_quantiles = n_quantiles

    def fit(self, X: Any, y: Any = None) -> QuantileNormal:
        """Find the quantiles of each column, missing values left out."""
        if self.n_quantiles < 2:
            raise ValueError(f"n_quantiles={self.n_quantiles!r}; use 2 or more")
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        levels = np.linspace(0, 1, self.n_quantiles)
        # the extremes would be infinite; they are put where half a step of the table is left beyond them
        inner = np.clip(levels, 0.5 / self.n_quantiles, 1 - 0.5 / self.n_quantiles)
        self.quantiles_: list[Floats] = []
        self.scores_: list[Floats] = []
        for column in _quantiles(values, levels).T:
            points = _distinct(column)
            # a value that several quantiles share gets the mean of their levels
            means = [inner[column == point].mean() for point in points] if len(points) else []
            self.quantiles_.append(points)
            self.scores_.append(special.ndtri(np.array(means)))
        return self

    def transform(self, X: Any) -> Floats:
        """Return the normal scores; constant columns are 0."""
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        columns = []
        for column, points, scores in zip(values.T, self.quantiles_, self.scores_, strict=True):
            mapped = np.interp(column, points, scores) if len(points) > 1 else np.zeros(len(column))
            columns.append(np.where(np.isnan(column), np.nan, mapped))
        return np.column_stack(columns)


def _quantiles(values: Floats, levels: Any) -> Floats:
    """Return quantiles of shape (n_levels, n_features); 0 for a column without values."""
    empty = np.isnan(values).all(axis=0)
    filled = np.where(empty, 0.0, values)
    return np.asarray(np.nanquantile(filled, levels, axis=0))


def _distinct(points: Floats) -> Floats:
    """Return the increasing distinct points."""
    return np.unique(points)
