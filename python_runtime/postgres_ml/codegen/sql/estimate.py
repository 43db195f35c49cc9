"""How fast a body will be: a formula calibrated with benchmarks/bench_sql.py."""

from __future__ import annotations

from postgres_ml.codegen.sql.plan import Plan
from postgres_ml.ir.models import Distances, Linear

CALL = 0.45  # microseconds of a plpgsql call
VISIT = 0.026  # of one condition of a tree
TERM = 0.02  # of one multiplication and addition
CACHED_NODES = 15_000  # conditions of a larger ensemble leave the processor's caches


def microseconds(plan: Plan, style: str) -> float:
    """Return the time to expect for one row on one core."""
    visits = sum(ensemble.visits for ensemble in plan.ensembles.values())
    crowding: float = max(1.0, (plan.n_nodes / CACHED_NODES) ** 0.4)
    terms = 0
    for number, positions in plan.positions.items():
        step = plan.program.steps[number]
        factors = len(step.slots) if isinstance(step, Linear | Distances) else 1
        terms += len(positions) * factors
    terms -= sum(len(ensemble.positions) for ensemble in plan.ensembles.values())
    call = 0.2 if style == "inline" else CALL
    return call + 0.012 * len(plan.program.inputs) + VISIT * visits * crowding + TERM * terms
