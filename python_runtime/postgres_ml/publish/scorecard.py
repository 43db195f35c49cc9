"""`<function>_scorecard`: an additive model's points, one row for each bin of each term.

Input: a scoring program, and the rows that it learned from. Output: the bins in words, and the function. The
points are those that the prediction adds up, so whoever adds up the scorecard gets the score.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from postgres_ml.contract.model import SCORECARD_COLUMNS, FunctionBody
from postgres_ml.contract.sql_names import text
from postgres_ml.explain.terms import Sums, Terms
from postgres_ml.generate.sql.fold.slots import fold
from postgres_ml.program import interpret
from postgres_ml.program.compute import bins_of
from postgres_ml.program.program import Program
from postgres_ml.program.scorers import TableSum
from postgres_ml.publish.bin_names import AxisNames, axis_names

SUFFIX = "scorecard"
INTERCEPT = "(intercept)"


@dataclass(frozen=True)
class CardTerm:
    """The points of a column, or of a pair of columns.

    Parameters
    ----------
    axes : of the columns, one or two
    points : of shape (n_scores, *bins of each axis)
    shares : of shape (*bins of each axis), of the rows
    """

    axes: tuple[AxisNames, ...]
    points: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]

    @property
    def name(self) -> str:
        """The column's name, or both."""
        return " & ".join(axis.column for axis in self.axes)

    @property
    def importance(self) -> float:
        """Mean absolute deviation of the points from their mean over the rows, averaged over the scores."""
        mean = (self.points * self.shares).sum(axis=tuple(range(1, self.points.ndim)), keepdims=True)
        return float((np.abs(self.points - mean) * self.shares).sum() / len(self.points))

    def bins(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield each bin in words, and its place; what no value can fall into is left out."""
        for place in np.ndindex(*self.shares.shape):
            names = [axis.bins[number] for axis, number in zip(self.axes, place, strict=True)]
            if all(name is not None for name in names):
                yield " & ".join(map(str, names)), place


@dataclass(frozen=True)
class Scorecard:
    """An additive model in words.

    Parameters
    ----------
    labels : that the scores speak of: '' of a regression, of two classes the second
    unit : of the points
    intercepts : of the scores
    terms : the most important first, columns before pairs
    """

    labels: tuple[str, ...]
    unit: str
    intercepts: tuple[float, ...]
    terms: tuple[CardTerm, ...]


def scorecard(program: Program | None, labels: tuple[str, ...], frame: pd.DataFrame) -> Scorecard | None:
    """Return the program's scorecard; None where it is not a sum of tables.

    Parameters
    ----------
    labels : the classes as text; empty for a regression
    frame : features of the rows that it learned from
    """
    step = None if program is None else next((s for s in program.steps if isinstance(s, TableSum)), None)
    if program is None or step is None:
        return None
    sums = Sums(program)
    scores, unit = sums.scores()
    if len(labels) == 2:
        scores = scores[-1:]
    terms = [sums.expand(score) for score in scores]
    number = program.steps.index(step)
    weights = _weights(terms, number, step.width)
    if weights is None:
        return None
    names = [
        axis_names(program, fold(program)[s], edges) for s, edges in zip(step.slots, step.edges, strict=True)
    ]
    bins = _bins(program, number, step, frame)
    tables = []
    for table in step.tables:
        axes = tuple(names[axis] for axis in table.axes)
        shape = tuple(step.n_bins(axis) for axis in table.axes)
        cells = np.ravel_multi_index([bins[axis] for axis in table.axes], shape)
        shares = np.bincount(cells, minlength=int(np.prod(shape))) / max(len(frame), 1)
        points = (weights @ np.array(table.points)).reshape(-1, *shape)
        tables.append(CardTerm(axes, points, shares.reshape(shape)))
    tables.sort(key=lambda term: (len(term.axes), -term.importance))
    constants = np.array([term.constant for term in terms if term is not None])
    intercepts = weights @ np.array(step.intercepts) + constants
    shown = tuple(labels[score.label] if labels else "" for score in scores)
    return Scorecard(shown, unit, tuple(intercepts.tolist()), tuple(tables))


def _weights(terms: list[Terms | None], number: int, width: int) -> npt.NDArray[np.float64] | None:
    """Return the weights of the step's outputs in each score; None where a score has other parts."""
    rows = []
    for term in terms:
        if term is None or term.slots or any(key[0] != number for key in term.trees):
            return None
        rows.append([term.trees.get((number, output), 0.0) for output in range(width)])
    return np.array(rows)


def _bins(program: Program, number: int, step: TableSum, frame: pd.DataFrame) -> list[npt.NDArray[np.int64]]:
    """Return each row's bin on each axis."""
    before = Program(program.inputs, program.steps[:number], (), program.output, program.return_type)
    slots = interpret.slots(before, {name: frame[name].to_numpy() for name in frame})
    return [bins_of(edges, slots[:, slot]) for slot, edges in zip(step.slots, step.edges, strict=True)]


def scorecard_function(card: Scorecard, function: str) -> FunctionBody:
    """Return the function, which takes nothing and returns a table.

    `term` is a column or a pair, `bin` its values in words, NULL of the intercept; `class` is the label that
    the points speak for, NULL of a regression; `share` is that of the rows that the model learned from.
    """
    rows: list[list[str | float | None]] = []
    labels = [label or None for label in card.labels]
    rows += [
        [INTERCEPT, None, label, value, None] for label, value in zip(labels, card.intercepts, strict=True)
    ]
    for term in card.terms:
        for shown, place in term.bins():
            share = float(f"{term.shares[place]:.6g}")
            rows += [
                [term.name, shown, label, float(term.points[(score, *place)]), share]
                for score, label in enumerate(labels)
            ]
    listed = json.dumps(rows, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    fields = ",".join(
        f"(r->>{number})" + ("::double precision" if kind != "text" else "")
        for number, (_, kind) in enumerate(SCORECARD_COLUMNS)
    )
    body = (
        f"\nselect {fields}\nfrom pg_catalog.jsonb_array_elements({text(listed)}::pg_catalog.jsonb) "
        "with ordinality as t(r,n) order by n\n"
    )
    return FunctionBody(
        "scorecard", f"{function}_{SUFFIX}", (), "record", "sql", body, columns=SCORECARD_COLUMNS
    )
