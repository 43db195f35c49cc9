"""Freeze programs of version 2 of the scoring program's form with the library's own predictions.

Version 2 differs from version 1 in the label of a cluster only.

Run once, when the version was new: PYTHONPATH=tests python tests/compat/make_v2.py. The files are never made
again: a later package must load them and predict the same.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from equivalence.cases import CASES
from equivalence.draw import SeededDraw
from equivalence.oracle import expected_of
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.adversarial import adversarial_rows
from postgres_ml.program.serialize import program_to_json
from postgres_ml.program.version import IR_VERSION

DIRECTORY = Path(__file__).parent / "v2"
FROZEN = ("k-means", "mini-batch-k-means")


def main() -> None:
    warnings.simplefilter("ignore")
    assert IR_VERSION == 2
    DIRECTORY.mkdir(exist_ok=True)
    for case in CASES:
        if case.name not in FROZEN:
            continue
        fitted = case.fit(SeededDraw(5), n_rows=60)
        program = parse_pipeline(fitted.pipeline, fitted.inputs, fitted.return_type)
        columns = adversarial_rows(program, 0, 50)
        expected = expected_of(fitted, columns)
        record = {
            "tolerance": case.tolerance,
            "program": json.loads(program_to_json(program)),
            "columns": {name: [_to_json(v) for v in values] for name, values in columns.items()},
            "predictions": [_to_json(v) for v in expected.predictions],
            "probabilities": _rows(expected.probabilities),
        }
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        (DIRECTORY / f"{case.name}.json").write_text(text + "\n", encoding="utf-8")


def _to_json(value: Any) -> Any:
    """Return the value as JSON has it: dates as ISO text, NaN and infinities as text."""
    if isinstance(value, float) and not np.isfinite(value):
        return {"float": repr(value)}
    return value.isoformat() if hasattr(value, "isoformat") else value


def _rows(probabilities: Any) -> Any:
    return None if probabilities is None else [[_to_json(p) for p in row] for row in probabilities.tolist()]


if __name__ == "__main__":
    main()
