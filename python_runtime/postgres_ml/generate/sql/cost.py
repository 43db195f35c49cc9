"""How fast a body will be, to about a factor of two: a formula fitted to measured ensembles.

Source: 5 to 500 boosted trees of depth 8 on one idle core took 0.014, 0.026, 0.032, 0.035, 0.051 and 0.049
microseconds a condition at 2, 8, 19, 38, 75 and 188 thousand nodes. benchmarks/bench_sql.py has a column that
compares estimate and measurement.
"""

from __future__ import annotations

from postgres_ml.generate.sql.plan import Plan
from postgres_ml.program.scorers import Distances, Linear, TableSum

CALL = 0.45  # microseconds of a plpgsql call
VISIT = 0.026  # of one condition of a tree, in an ensemble of USUAL_NODES
DOUBLE = 1.5  # times as much where leaves are double precision, as scikit-learn's are
PART = 1.2  # times as much where an ensemble is divided into functions
TERM = 0.02  # of one multiplication and addition
LOOKUP = 0.09  # of the points of a column, of which a pair has twice as much
USUAL_NODES = 15_000
GROWTH = 0.27  # the more nodes, the further they are from the processor


def tree_microseconds(visits: float, n_nodes: int) -> float:
    """Return the time of one row in ensembles whose leaves are in single precision.

    Parameters
    ----------
    visits : conditions that a row meets
    n_nodes : of all trees
    """
    return VISIT * visits * float((n_nodes / USUAL_NODES) ** GROWTH)


def microseconds(plan: Plan, style: str) -> float:
    """Return the time to expect for one row on one core."""
    visits = sum(
        item.visits * (DOUBLE if item.ensemble.dtype == "float64" else 1.0)
        for item in plan.ensembles.values()
    )
    trees = tree_microseconds(visits, plan.n_nodes) * (PART if style == "chained" else 1.0)
    terms = 0.0
    for number, positions in plan.positions.items():
        step = plan.program.steps[number]
        if isinstance(step, TableSum):
            axes = sum(len(table.axes) for table in step.tables)
            terms += len(positions) * axes * LOOKUP / TERM
            continue
        factors = len(step.slots) if isinstance(step, Linear | Distances) else 1
        terms += len(positions) * factors
    terms -= sum(len(ensemble.positions) for ensemble in plan.ensembles.values())
    call = 0.2 if style == "inline" else CALL
    return call + 0.012 * len(plan.program.inputs) + trees + TERM * terms
