"""How fast a program will run."""

from __future__ import annotations

from postgres_ml.program import encoders, scorers
from postgres_ml.program.program import Program

# Nanoseconds on one core, fitted to benchmarks/bench_native.py with the scalar kernel
CALL = 150.0
INPUT = 12.0
SLOT = 2.5
TREE_LEVEL = 1.2
WEIGHT = 0.4
ACTIVATION = 8.0
AXIS, POINT = 12.0, 3.0
TEXT = 6000.0  # some twenty words, split, looked up and weighed
CHARACTERS = 200.0  # of as long a text


def estimate_rows_per_s(program: Program) -> int:
    """Return the predictions a second to expect of one core, to about a factor of two."""
    nanoseconds = CALL + INPUT * len(program.inputs)
    for step in program.steps:
        nanoseconds += SLOT * step.width
        if isinstance(step, scorers.TreeEnsemble):
            # a balanced tree of n nodes has about log2(n) levels
            nanoseconds += TREE_LEVEL * sum(tree.n_nodes.bit_length() for tree in step.trees)
        elif isinstance(step, scorers.Linear | scorers.Distances):
            nanoseconds += WEIGHT * step.width * len(step.slots)
        elif isinstance(step, scorers.TableSum):
            nanoseconds += AXIS * len(step.slots) + POINT * step.width * len(step.tables)
        elif isinstance(step, scorers.Activation | scorers.Link):
            nanoseconds += ACTIVATION * step.width
        elif isinstance(step, encoders.Words):
            nanoseconds += TEXT
        elif isinstance(step, encoders.Characters):
            nanoseconds += CHARACTERS
    return int(1e9 / nanoseconds)
