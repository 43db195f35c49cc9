"""Exact Shapley values of a sum of tables.

In the game in which unknown columns have the values of the background rows (Lundberg and Lee 2017,
"A unified approach to interpreting model predictions"), a table of one axis gives its column its points less
their mean. A table f of two axes gives column i half of what i alone changes, E f(i, J) - E f(I, J), and
half of what i changes where j is known, f(i, j) - E f(I, j). Capitals are the rows' bins, each by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from postgres_ml.generate import literals
from postgres_ml.generate.literals import DOUBLE
from postgres_ml.generate.sql.arithmetic.interval import Value
from postgres_ml.program.compute import bins_of
from postgres_ml.program.scorers import TableSum

Floats = npt.NDArray[np.float64]


class TableExplainer:
    """A sum of tables, and the shares of background rows in the bins.

    Parameters
    ----------
    background : of shape (n_rows, n_axes), the slots that the step reads

    Attributes
    ----------
    expected : of shape (n_outputs,), the mean of the outputs where columns are drawn each by itself
    """

    cost = 0  # of a row, in multiplications

    def __init__(self, step: TableSum, background: Floats) -> None:
        self.step = step
        bins = self._bins(background)
        shares = [
            np.bincount(found, minlength=step.n_bins(axis)) / max(len(background), 1)
            for axis, found in enumerate(bins)
        ]
        self.expected: Floats = np.array(step.intercepts, dtype=np.float64)
        self.parts: list[tuple[tuple[int, ...], list[Floats]]] = []
        for table in step.tables:
            counts = [shares[axis] for axis in table.axes]
            points = np.array(table.points).reshape(-1, *(step.n_bins(axis) for axis in table.axes))
            if len(counts) == 1:
                mean = points @ counts[0]
                values = [points - mean[:, None]]
            else:
                of_first, of_second = points @ counts[1], np.einsum("oij,i->oj", points, counts[0])
                mean = of_first @ counts[0]
                first = of_first[:, :, None] - mean[:, None, None] + points - of_second[:, None, :]
                second = of_second[:, None, :] - mean[:, None, None] + points - of_first[:, :, None]
                values = [first / 2, second / 2]
            self.expected = self.expected + mean
            self.parts.append((table.axes, [value.reshape(len(points), -1) for value in values]))

    def shap_values(self, x: Floats) -> Floats:
        """Return Shapley values of shape (n_outputs, n_rows, n_axes); plus `expected`, the outputs."""
        bins = self._bins(x)
        result = np.zeros((self.step.width, len(x), len(self.step.slots)))
        for axes, values in self.parts:
            cells = bins[axes[0]]
            if len(axes) == 2:
                cells = cells * self.step.n_bins(axes[1]) + bins[axes[1]]
            for axis, value in zip(axes, values, strict=True):
                result[:, :, axis] += value[:, cells]
        return result

    def lookups(self, weights: Floats, place: Mapping[int, int]) -> Iterator[tuple[int, Value]]:
        """Yield of each table and axis the slot, and its Shapley value as an expression.

        Parameters
        ----------
        weights : of the outputs, whose sum is explained
        place : of each slot in the array s of slots, from 1 on; NULL is missing
        """
        for axes, values in self.parts:
            bins = []
            for axis in axes:
                edges = self.step.edges[axis]
                listed = ",".join([*(literals.double(edge)[1:-1] for edge in edges), "NaN"])
                found = (
                    f"pg_catalog.width_bucket(s[{place[self.step.slots[axis]]}],'{{{listed}}}'::{DOUBLE}[])"
                )
                bins.append(f"coalesce({found},{len(edges) + 1})")
            cell = bins[0] if len(axes) == 1 else f"{bins[0]}*{self.step.n_bins(axes[1])}+{bins[1]}"
            for axis, value in zip(axes, values, strict=True):
                numbers = (weights @ value).tolist()
                points = ",".join(literals.double(number)[1:-1] for number in numbers)
                sql = f"('{{{points}}}'::{DOUBLE}[])[{cell}+1]"
                yield self.step.slots[axis], Value(sql, min(numbers), max(numbers), nullable=False)

    def _bins(self, x: Floats) -> list[npt.NDArray[np.int64]]:
        return [bins_of(edges, column) for edges, column in zip(self.step.edges, x.T, strict=True)]
