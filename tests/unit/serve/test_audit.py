"""Pickles that would run code, in the ways that are known, and files that are damaged: each is one error."""

from __future__ import annotations

import functools
import os
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.serve.audit import load, refusal
from postgres_ml.serve.audited_pickle import read
from sklearn._loss._loss import CyHalfBinomialLoss
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import Ridge
from sklearn.neighbors import KDTree
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

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


def integer(value: int) -> bytes:
    raw = value.to_bytes(8, "little")
    return b"\x8a\x08" + raw  # LONG1


def built(target: bytes, state: bytes) -> bytes:
    return target + state + b"b"  # BUILD


def slots(name: str, value: bytes) -> bytes:
    return b"N}" + text(name) + value + b"s\x86"  # (None, {name: value}): set by setattr


RIDGE, LIST = named("sklearn.linear_model._ridge", "Ridge"), named("builtins", "list")
CHECK = named("sklearn.utils.validation", "check_array")
PARTIAL = named("functools", "partial")
#: what walks on from names that are allowed
WALKS = {
    "operator.attrgetter": program(called("operator", "attrgetter", text("__globals__"))),
    "operator.itemgetter": program(called("operator", "itemgetter", text("exec"))),
    "importlib": program(called("importlib", "import_module", text("os"))),
    "a loader of pickles": program(called("pickle", "loads", text("x"))),
    "pandas' reader of pickles": program(called("pandas", "read_pickle", text("x"))),
    "a type that is made": program(called("builtins", "type", text("x"))),
    "Python 2's eval": b"\x80\x02c__builtin__\neval\n(" + RUN + b"tR.",
    "an old instruction that calls": b"(" + RUN + b"ibuiltins\nexec\n.",
    "an object of a function": program(b"(", named("builtins", "exec"), RUN, b"o"),
    "a persistent id": b"\x80\x04" + text("x") + b"Q.",
    "a persistent id of old": b"Px\n.",
    "a new attribute of a class": program(built(RIDGE, slots("predict", LIST))),
    "a new attribute of a function": program(built(named(KD, "newObj"), slots("__name__", text("x")))),
    "a new attribute of a metric": program(
        built(named("sklearn.metrics._classification", "f1_score"), slots("__code__", text("x")))
    ),
    "a partial of a class": program(PARTIAL, b"(", LIST, b"tR"),
    "a partial that becomes another": program(
        built(PARTIAL + b"(" + CHECK + b"tR", b"(" + LIST + b")}" + b"Nt")
    ),
    "a call of what may be held": program(CHECK, b"(", text("x"), b"tR"),
    "a call of a metric": program(called("sklearn.metrics._classification", "f1_score", b"]", b"]")),
    "a call of a function of numbers": program(called("numpy", "exp", b"]")),
    "a metric's import": program(named("sklearn.metrics._classification", "np")),
    "a ufunc that isn't one": program(called("numpy", "frompyfunc", text("x"))),
    "a booster from another file": program(
        called("xgboost.core", "Booster", b"N", b"N", text("/etc/passwd"))
    ),
    "a codec": program(called("_codecs", "encode", text("x"), text("zlib_codec"))),
}
#: what is far longer than the file
SIZES = {
    "a bytearray": program(called("builtins", "bytearray", integer(3 * 10**9))),
    "bytes": program(called("builtins", "bytes", integer(3 * 10**9))),
    "a list of a range": program(LIST, b"(", called("builtins", "range", integer(10**12)), b"tR"),
    "a reconstructed list of a range": program(
        named("copyreg", "_reconstructor"), b"(", LIST, LIST, called("builtins", "range", integer(10**12)), b"tR"
    ),
    "an array": program(called("numpy", "ndarray", b"(" + integer(10**12) + b"t")),
    "an array to be filled": program(
        named("numpy._core.multiarray", "_reconstruct"), b"(", named("numpy", "ndarray"),
        b"(" + integer(10**12) + b"t", text("b"), b"tR",
    ),
    "an array that is made": program(named("numpy", "ndarray"), b"(" + integer(10**12) + b"t\x85\x81"),
    "a sparse matrix": program(
        called("scipy.sparse._csr", "csr_matrix", b"(" + integer(10**12) + integer(10**12) + b"t")
    ),
    "bytes that are not there": b"\x80\x04\x8e" + (3 * 10**9).to_bytes(8, "little") + b"x",
    "a text that is not there": b"\x80\x04\x8d" + (3 * 10**9).to_bytes(8, "little") + b"x",
    "a frame that is not there": b"\x80\x04\x95" + (2**62).to_bytes(8, "little") + b"x.",
    "a place in the memo": b"\x80\x04Nr" + (2**31 - 1).to_bytes(4, "little") + b"0j\x01\0\0\0.",
}  # fmt: skip


@pytest.mark.parametrize("name", [*WALKS, *SIZES])
def test_calls_and_sizes_that_no_library_writes(tmp_path: Path, name: str) -> None:
    path = tmp_path / "evil.joblib"
    path.write_bytes({**WALKS, **SIZES}[name])
    with pytest.raises(ArtifactError, match=r"evil\.joblib"):
        read(path)  # without the trial: these are refused before they are done


def test_names_that_compiled_classes_had_in_earlier_versions(tmp_path: Path) -> None:
    path = tmp_path / "old.pkl"
    path.write_bytes(program(named("_loss", "CyHalfBinomialLoss")))
    assert read(path) is CyHalfBinomialLoss
    path.write_bytes(program(named("_loss", "np")))
    with pytest.raises(ArtifactError, match=r"sklearn\._loss\._loss\.np: no estimator"):
        read(path)


def test_a_data_type_cannot_hide_that_it_holds_addresses(tmp_path: Path) -> None:
    honest = pickle.dumps(np.dtype([("a", "O")]), protocol=2)
    inner, outer = b"K?", b"K\x1b"  # the flags of an object, and of what holds one
    assert (honest.count(inner), honest.count(outer)) == (1, 1)
    path = tmp_path / "evil.pkl"
    for flags in (inner, outer):
        path.write_bytes(honest.replace(flags, b"K\x00"))
        with pytest.raises(ArtifactError, match=r"hides its objects"):
            read(path)
    path.write_bytes(honest)
    assert read(path).hasobject


def test_a_data_type_cannot_reach_beyond_itself(tmp_path: Path) -> None:
    honest = pickle.dumps(np.dtype({"names": ["a"], "formats": ["<f8"], "offsets": [24], "itemsize": 32}), 2)
    path = tmp_path / "evil.pkl"
    path.write_bytes(honest)
    assert read(path).itemsize == 32
    path.write_bytes(honest.replace(b"K\x18", b"K\x7f"))
    with pytest.raises(ArtifactError, match=r"fields lie outside it"):
        read(path)


def test_an_array_of_objects_in_joblibs_format_is_audited(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, ("1 / 0",)

    array = np.empty(1, dtype=object)
    array[0] = Evil()
    for name, compress in (("evil.joblib", 0), ("evil.z", 3)):
        joblib.dump({"a": array}, tmp_path / name, compress=compress)
        with pytest.raises(ArtifactError, match=r"names builtins\.eval"):
            load(tmp_path / name, trust=False)


def test_files_of_numpy_are_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", a=np.array([object()]))
    (tmp_path / "evil.npz").rename(tmp_path / "evil.joblib")
    with pytest.raises(ArtifactError, match=r"evil\.joblib can't be loaded"):
        load(tmp_path / "evil.joblib", trust=False)


def test_a_skops_file_is_audited(tmp_path: Path) -> None:
    for name, function in (("system", os.system), ("partial", functools.partial(os.system, "true"))):
        path = tmp_path / f"{name}.skops"
        skops.io.dump(FunctionTransformer(function), path)
        with pytest.raises(ArtifactError, match=rf"{name}\.skops could run code"):
            load(path, trust=False)


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
            read(path)


@pytest.mark.parametrize("vectorizer", [CountVectorizer(vocabulary=["a"]), HashingVectorizer(n_features=4)])
@pytest.mark.parametrize("source", ["filename", "file"])
def test_a_vectorizer_that_reads_files_is_refused(tmp_path: Path, vectorizer, source: str) -> None:
    """Rows would name the files, and predictions tell what is in them."""
    path = tmp_path / "m.joblib"
    joblib.dump(Pipeline([("words", vectorizer.set_params(input="content")), ("fit", Ridge())]), path)
    load(path, trust=False)
    joblib.dump(Pipeline([("words", vectorizer.set_params(input=source)), ("fit", Ridge())]), path)
    with pytest.raises(ArtifactError, match=f"input='{source}'.*reads the files that its rows name"):
        load(path, trust=False)
