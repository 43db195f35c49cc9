"""Small programs, made by hand."""

from __future__ import annotations

import math
from typing import Any

from postgres_ml.program.encoders import Number
from postgres_ml.program.program import Input, Program, Value
from postgres_ml.program.scorers import Tree, TreeEnsemble

NAN = math.nan


def three_nodes(threshold: float = 0.5, *, default_left: bool = True, **changes: Any) -> Tree:
    """A root and two leaves: 1 to the left, 2 to the right."""
    fields = {
        "split_index": (0, -1, -1),
        "threshold": (threshold, NAN, NAN),
        "left": (1, -1, -1),
        "right": (2, -1, -1),
        "default_left": (default_left, False, False),
        "leaf_value": ((), (1.0,), (2.0,)),
    }
    return Tree(**(fields | changes))


def tree_program(tree: Tree | None = None, **changes: Any) -> Program:
    """A program of one tree on one number."""
    fields = {
        "slots": (0,),
        "trees": (tree or three_nodes(),),
        "operator": "<",
        "split_dtype": "float32",
        "dtype": "float32",
        "base_scores": (0.0,),
    }
    step = TreeEnsemble(**(fields | changes))
    inputs = (Input("x", "double precision", "number"),)
    return Program(inputs, (Number(0), step), (), Value(1), "double precision")
