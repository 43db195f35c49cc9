"""Files of several models with bytes changed, cut out and put in: each loads, or is one error."""

from __future__ import annotations

import collections
import io
import pickle
import random
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.external.load import read_file
from postgres_ml.serve import trial
from postgres_ml.serve.trial_process import exercise
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier

ESTIMATORS = (
    *(RandomForestClassifier(3, random_state=0), GradientBoostingRegressor(n_estimators=3)),
    *(HistGradientBoostingClassifier(max_iter=3), KNeighborsClassifier(algorithm="kd_tree"), SVC()),
    *(LogisticRegression(), MLPRegressor(hidden_layer_sizes=(4,), max_iter=5), XGBClassifier(n_estimators=3)),
)


@pytest.fixture(scope="module")
def whole() -> Iterator[list[tuple[str, bytes]]]:
    """Whole files, each with its suffix."""
    rows = np.random.default_rng(0).normal(size=(60, 3))
    files = []
    for estimator in ESTIMATORS:
        model = make_pipeline(StandardScaler(), estimator).fit(rows, rows[:, 0] > 0)
        files.append((".pkl", pickle.dumps(model)))
        for compress in (0, 3, ("xz", 1)):
            file = io.BytesIO()
            joblib.dump(model, file, compress=compress)
            files.append((".joblib", file.getvalue()))
        files.append((".skops", skops.io.dumps(model)))
    yield files
    trial.close()


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Return the content with one to eight bytes, or short runs of bytes, changed."""
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 4, 8])):
        place, kind = draw.randrange(len(changed)), draw.random()
        if kind < 0.5:
            changed[place] = draw.randrange(256)
        elif kind < 0.7:
            changed[place] ^= 1 << draw.randrange(8)
        elif kind < 0.85:
            del changed[place : place + draw.randrange(1, 9)]
        else:
            changed[place:place] = draw.randbytes(draw.randrange(1, 5))
    return bytes(changed)


@pytest.mark.parametrize(
    ("seed", "count"),
    [(0, 60), *(pytest.param(seed, 1000, marks=pytest.mark.exhaustive) for seed in range(1, 11))],
)
def test_a_mutated_file_loads_or_is_one_error(
    whole: list[tuple[str, bytes]], tmp_path: Path, seed: int, count: int
) -> None:
    draw, seen = random.Random(seed), collections.Counter[str]()
    for _ in range(count):
        suffix, content = draw.choice(whole)
        path = tmp_path / f"model{suffix}"
        path.write_bytes(mutated(content, draw))
        try:
            model = read_file(path, trust=False)
        except ArtifactError as error:
            assert path.name in str(error)
            seen["by a signal" if "by the signal" in str(error) else "refused"] += 1
            continue
        seen["loaded"] += 1
        predict(model)
    print(seed, dict(seen))  # noqa: T201
    assert seen["loaded"] and seen["refused"]


def predict(model: object) -> None:
    """Let the model predict, as a publication does; what it raises there is the publication's to say."""
    try:
        exercise(model)
    except Exception:  # noqa: BLE001  # whatever the library raises, it has not ended this process
        return
