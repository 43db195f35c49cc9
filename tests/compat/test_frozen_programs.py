"""Programs of every version ever published load and predict what the library predicted when they were made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from equivalence.oracle import Expected, check_predictions
from postgres_ml.program.interpret import predict, predict_probabilities
from postgres_ml.program.serialize import program_from_json, program_to_json
from postgres_ml.program.version import IR_VERSION

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("v*/*.json"))


def _from_json(value: Any) -> Any:
    return float(value["float"]) if isinstance(value, dict) else value


def test_every_version_is_frozen() -> None:
    assert {path.parent.name for path in FILES} == {f"v{version}" for version in range(1, IR_VERSION + 1)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_frozen_program(path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    text = json.dumps(record["program"], ensure_ascii=False, separators=(",", ":"))
    program = program_from_json(text)
    if path.parent.name == f"v{IR_VERSION}":
        assert program_to_json(program) == text
    columns = {name: [_from_json(v) for v in values] for name, values in record["columns"].items()}
    rows = record["probabilities"]
    probabilities = None if rows is None else np.array([[_from_json(p) for p in row] for row in rows])
    expected = Expected([_from_json(p) for p in record["predictions"]], probabilities)
    check_predictions(
        program,
        columns,
        expected,
        predict(program, columns),
        predict_probabilities(program, columns),
        record["tolerance"],
    )
