"""Files of every supported estimator and transformer load without `trust`, in every format they come in."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pytest
import skops.io
from equivalence.cases import CASES, Case
from equivalence.draw import SeededDraw
from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.serve import trial
from postgres_ml.serve.audit import load

SAVE: dict[str, Callable[[Any, Path], object]] = {
    "model.pkl": lambda model, path: path.write_bytes(pickle.dumps(model)),
    "oldest.pkl": lambda model, path: path.write_bytes(pickle.dumps(model, protocol=2)),
    "cloud.pkl": lambda model, path: path.write_bytes(cloudpickle.dumps(model)),
    "model.joblib": joblib.dump,
    "zlib.joblib": lambda model, path: joblib.dump(model, path, compress=3),
    "model.skops": lambda model, path: skops.io.dump(model, path),
}


@pytest.fixture(scope="module", autouse=True)
def trials() -> Iterator[None]:
    yield
    trial.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_format_loads_without_trust(case: Case, tmp_path: Path) -> None:
    fitted = case.fit(SeededDraw(1), n_rows=60)
    expected = fitted.pipeline.predict(fitted.frame)
    failed = {}
    for name, save in SAVE.items():
        try:
            save(fitted.pipeline, tmp_path / name)
        except (RecursionError, skops.io.exceptions.UnsupportedTypeException):
            assert name.endswith(".skops")
            continue
        try:
            again = load(tmp_path / name, trust=False)
        except ArtifactError as error:
            failed[name] = str(error)
            continue
        np.testing.assert_array_equal(again.predict(fitted.frame), expected)
    assert not failed
