"""Predictors that need a Python environment of their own: the newest xgboost, and oneDAL by daal4py.

    python benchmarks/peer_process.py MODEL.json ROWS.npy

Started by peers.py, with that environment's Python. It writes one line, a JSON object of the predictors that
are installed and their versions; then, for each name that it reads, it predicts all rows by one thread and
writes an empty line.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections.abc import Callable
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import xgboost as xgb

# single precision, added in another order
TOLERANCE = 1e-4


def predictors(booster: Any, matrix: Any) -> tuple[dict[str, Callable[[], Any]], dict[str, str]]:
    """Return what predicts the rows, and the versions."""
    booster.set_param({"nthread": 1})
    found: dict[str, Callable[[], Any]] = {"xgboost": lambda: booster.inplace_predict(matrix)}
    versions = {"xgboost": xgb.__version__}
    try:
        import daal4py
    except ImportError:
        return found, versions
    daal4py.daalinit(1)
    model = daal4py.mb.convert_model(booster)
    found["oneDAL"] = lambda: model.predict_proba(matrix)
    versions["oneDAL"] = importlib.metadata.version("daal")
    worst = np.abs(found["oneDAL"]()[:, 1] - found["xgboost"]()).max()
    if not worst < TOLERANCE:
        raise SystemExit(f"oneDAL's predictions are up to {worst} away from xgboost's")
    return found, versions


def main(model: str, rows: str) -> None:
    """Answer until standard input ends."""
    found, versions = predictors(xgb.Booster(model_file=model), np.load(rows))
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        found[line.strip()]()
        print(flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
