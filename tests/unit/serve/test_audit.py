"""Pickles that would run code, in the ways that are known, and files that are damaged: each is one error."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.serve.audit import load, refusal
from sklearn.linear_model import Ridge
from sklearn.neighbors import KDTree

KD = "sklearn.neighbors._kd_tree"


def text(value: str) -> bytes:
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw  # SHORT_BINUNICODE


def named(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"  # STACK_GLOBAL


def called(module: str, name: str, *arguments: bytes) -> bytes:
    return named(module, name) + b"(" + b"".join(arguments) + b"tR"  # MARK … TUPLE REDUCE


def program(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


RUN = text("raise SystemExit('code ran')")
#: each begins, or ends, where the audit of release 0.1.0 let a pickle walk
EXPLOITS = {
    "globals of a function": program(called(KD, "newObj.__globals__.get", text("__builtins__"))),
    "a name stored under an allowed prefix": program(
        called(KD, "newObj.__globals__.__setitem__", text("newObj2"), text("x")),
        b"0",
        named(KD, "newObj2.exec"),
    ),
    "exec through builtins": program(called(KD, "newObj.__globals__.__builtins__.exec", RUN)),
    "reduce of a class": program(
        called("sklearn.linear_model._ridge", "Ridge.__reduce__.__globals__.get", RUN)
    ),
    "subclasses": program(called("sklearn.base", "BaseEstimator.__subclasses__")),
    "init of a class": program(called("sklearn.linear_model._ridge", "Ridge.__init__", RUN)),
    "a module that the library imported": program(named("sklearn.utils.fixes", "sys")),
    "os.system": program(called("os", "system", text("true"))),
    "builtins.exec": program(called("builtins", "exec", RUN)),
    "builtins.getattr": program(
        called("builtins", "getattr", named("builtins", "object"), text("__subclasses__"))
    ),
    "functools.partial": program(called("functools", "partial", named("builtins", "object"))),
    "numpy's own loader": program(called("numpy", "load", text("x"))),
    "numpy's memmap": program(called("numpy", "memmap", text("x"))),
    "numpy through a library": program(named("sklearn.linear_model._ridge", "np.memmap")),
    "joblib's loader": program(called("joblib.numpy_pickle", "load", text("x"))),
    "joblib through a library": program(called("sklearn.utils.parallel", "joblib.load", text("x"))),
    "a function of the library": program(called("sklearn.utils", "shuffle", text("x"))),
    "operator.methodcaller": program(called("operator", "methodcaller", text("system"))),
    "a name that is no identifier": program(named(KD, "newObj\\n")),
    "an extension's code": program(b"\x82\x01"),
}


@pytest.mark.parametrize("name", EXPLOITS)
def test_what_could_run_code_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "evil.joblib"
    path.write_bytes(EXPLOITS[name])
    with pytest.raises(ArtifactError, match=r"evil\.joblib"):
        load(path, trust=False)


def test_a_pickle_inside_an_array_of_objects_is_read_with_the_same_care(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, ("1 / 0",)

    array = np.empty(1, dtype=object)
    array[0] = Evil()
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(array))
    with pytest.raises(ArtifactError, match=r"builtins\.eval"):
        load(path, trust=False)


@pytest.mark.parametrize("name", ["newObj", "__pyx_unpickle_DistanceMetric"])
def test_what_rebuilds_a_type_of_its_own_module_is_allowed(name: str) -> None:
    module = KD if name == "newObj" else "sklearn.metrics._dist_metrics"
    assert refusal(module, name) is None
    assert refusal("sklearn.linear_model._ridge", name) is not None


def test_a_tree_of_neighbours_still_loads(tmp_path: Path) -> None:
    path = tmp_path / "tree.pkl"
    path.write_bytes(pickle.dumps({"tree": KDTree(np.eye(5)), "ridge": Ridge()}))
    assert load(path, trust=False)["tree"].query(np.eye(5)[:1])[1].tolist() == [[0]]


def test_a_damaged_file_is_one_error(tmp_path: Path) -> None:
    whole = pickle.dumps(Ridge().fit(np.eye(4), np.arange(4.0)))
    path = tmp_path / "damaged.pkl"
    for cut in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(ArtifactError, match=r"damaged\.pkl"):
            load(path, trust=False)
