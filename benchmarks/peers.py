"""Other predictors of an xgboost model in memory, by one thread each."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

NAMES = ("tl2cgen", "onnxruntime", "oneDAL", "newest xgboost")
LARGEST_COMPILED = 50_000  # nodes: gcc takes minutes for tl2cgen's code of larger ensembles

Predictors = dict[str, Callable[[], Any]]


def tl2cgen_predictor(estimator: Any, matrix: Any, directory: Path) -> Predictors:
    """Return the predictor that tl2cgen compiles, if it is installed."""
    found: Predictors = {}
    with suppress(ImportError):
        import tl2cgen
        import treelite

        model = treelite.frontend.from_xgboost(estimator.get_booster())
        library = directory / "peer.so"
        tl2cgen.export_lib(model, toolchain="gcc", libpath=str(library), params={"parallel_comp": 1})
        compiled, rows = tl2cgen.Predictor(str(library), nthread=1), tl2cgen.DMatrix(matrix)
        found["tl2cgen"] = lambda: compiled.predict(rows)
    return found


def onnxruntime_predictor(estimator: Any, matrix: Any) -> Predictors:
    """Return onnxruntime's predictor, if it is installed; it renames the booster's features."""
    found: Predictors = {}
    with suppress(ImportError):
        import onnxruntime
        from onnxmltools import convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType

        booster = estimator.get_booster()
        booster.feature_names = [f"f{i}" for i in range(matrix.shape[1])]
        graph = convert_xgboost(estimator, initial_types=[("x", FloatTensorType([None, matrix.shape[1]]))])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"])
        found["onnxruntime"] = lambda: session.run(None, {"x": matrix})
    return found


class PeerProcess:
    """A process of another Python environment that predicts when it is asked.

    Parameters
    ----------
    python : the environment's Python, which has xgboost and may have daal4py
    matrix : rows by features, float32

    Raises
    ------
    RuntimeError
        The process has ended; it says why on standard error.
    """

    def __init__(self, python: str, estimator: Any, matrix: Any, directory: Path) -> None:
        model, rows = directory / "model.json", directory / "rows.npy"
        estimator.get_booster().save_model(model)
        np.save(rows, matrix)
        script = Path(__file__).with_name("peer_process.py")
        self.process = subprocess.Popen(
            [python, str(script), str(model), str(rows)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.versions: dict[str, str] = json.loads(self._answer())

    def _answer(self) -> str:
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise RuntimeError(f"the peers' process has ended: {self.process.wait()}")
        return line

    def predictors(self) -> Predictors:
        """Return a function for each predictor of the process."""

        def asking(name: str) -> Callable[[], Any]:
            def ask() -> None:
                self.process.stdin.write(f"{name}\n")  # type: ignore[union-attr]
                self.process.stdin.flush()  # type: ignore[union-attr]
                self._answer()

            return ask

        names = {"xgboost": "newest xgboost"}
        return {names.get(name, name): asking(name) for name in self.versions}

    def close(self) -> None:
        """End the process."""
        self.process.communicate()
