"""Which types a pickle names, and whether loading it could run code.

A pickle is a program: to load one of unknown origin is to run it. Here a pickle may name estimators and
arrays of libraries we know, and nothing else; that is checked for each name before it is looked up (in the
manner of skops, for pickles and joblib's files).
"""

from __future__ import annotations

import importlib
import io
import lzma
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import joblib.numpy_pickle
import joblib.numpy_pickle_utils
from sklearn.base import BaseEstimator

from postgres_ml.contract.exceptions import ArtifactError

LIBRARIES = ("sklearn", "xgboost", "lightgbm")
#: modules of ours that define what a fitted pipeline is made of; they hold no function that a pickle may name
OWN_MODULES = tuple(
    f"postgres_ml.{name}"
    for name in (
        *("components.estimators", "components.frame_reader", "components.neural_network"),
        *("components.transformers", "track.pyfunc"),
    )
)
#: their names in release 0.1.0, which its pickles use
FORMER_MODULES = tuple(
    f"postgres_ml.{name}"
    for name in ("estimators", "data.frame_reader", "networks", "serving.registered_pyfunc", "transformers")
)
SKOPS = ".skops"
DAMAGED = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, EOFError),
    *(ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError, RecursionError),
    *(struct.error, zlib.error, lzma.LZMAError, AssertionError, ImportError, MemoryError),
)
#: what arrays, and states of estimators, are made of besides estimators; none of them runs code it is given
BUILDING_BLOCKS = frozenset(
    {
        *(f"builtins:{n}" for n in ("object", "set", "frozenset", "slice", "complex", "bytearray", "range")),
        *(f"builtins:{n}" for n in ("int", "float", "bool", "str", "bytes", "list", "dict", "tuple")),
        *("collections:OrderedDict", "collections:defaultdict", "copyreg:_reconstructor", "_codecs:encode"),
        *(
            f"numpy:{n}"
            for n in ("ndarray", "dtype", "float64", "float32", "int64", "int32", "bool", "bool_")
        ),
        *("numpy:str_", "numpy:uint8", "numpy:object_"),
        *(f"numpy.{c}.multiarray:{n}" for c in ("core", "_core") for n in ("_reconstruct", "scalar")),
        *(f"numpy.{c}.numeric:_frombuffer" for c in ("core", "_core")),
        *(f"numpy.random._{n.lower()}:{n}" for n in ("PCG64", "MT19937")),
        *("numpy.random._pickle:__randomstate_ctor", "numpy.random._pickle:__generator_ctor"),
        "numpy.random._pickle:__bit_generator_ctor",
        *("scipy.sparse._csr:csr_matrix", "scipy.sparse._csr:csr_array", "scipy.sparse._csc:csc_matrix"),
        *("joblib.numpy_pickle:NumpyArrayWrapper", "xgboost.core:Booster", "lightgbm.basic:Booster"),
        *("sklearn.utils._bunch:Bunch", "sklearn._loss.loss:BaseLoss", "decimal:Decimal"),
    }
)
#: classes of compiled and private parts of the libraries, by the module's beginning: trees, losses, kernels
PARTS = (
    *("sklearn.tree._tree", "sklearn._loss", "sklearn.neighbors._", "sklearn.metrics._dist_metrics"),
    *("sklearn.ensemble._", "sklearn.linear_model._", "sklearn.gaussian_process.kernels"),
    *("sklearn.preprocessing._", "sklearn.compose._", "sklearn.utils._tags", "sklearn.calibration"),
)


CYTHON_FUNCTIONS = ("cython_function_or_method", "builtin_function_or_method")


def refusal(module: str, name: str) -> str | None:
    """Return why a pickle may not name this, or None; imports the module only if it is of a known library.

    A name with a dot is a walk through attributes, which leads from any function to `__globals__` and from
    there to everything: none is allowed. What is found has to be the module's own object.
    """
    if f"{module}:{name}" in BUILDING_BLOCKS:
        return None
    if "." in name or not name.isidentifier():
        return "a path through attributes, which can lead anywhere"
    if module.partition(".")[0] not in LIBRARIES and module not in (*OWN_MODULES, *FORMER_MODULES):
        return "not of a library that is known to hold nothing but data"
    try:
        found: Any = vars(importlib.import_module(module))[name]
    except (ImportError, KeyError):
        return "not in the version of the library that is installed here"
    return None if _is_estimator(found) or _is_rebuilder(found, module, name) else "no estimator"


def _is_estimator(found: Any) -> bool:
    """Return whether this is an estimator's class, or that of a part of one."""
    home = str(getattr(found, "__module__", ""))
    if not isinstance(found, type) or (home.partition(".")[0] not in LIBRARIES and home not in OWN_MODULES):
        return False
    return issubclass(found, BaseEstimator) or home.startswith(PARTS)


def _is_rebuilder(found: Any, module: str, name: str) -> bool:
    """Return whether this is the function of a Cython module that rebuilds an extension type of its own."""
    is_named = name == "newObj" or name.startswith("__pyx_unpickle_")
    is_own = type(found).__name__ in CYTHON_FUNCTIONS and getattr(found, "__module__", None) == module
    return is_named and is_own and module.startswith(PARTS)


class _AuditedArray(joblib.numpy_pickle.NumpyArrayWrapper):  # type: ignore[misc]
    """joblib reads arrays of objects by a pickle of their own, which has to be audited as well."""

    def read_array(self, unpickler: Any, ensure_native_byte_order: bool = False) -> Any:
        if self.dtype.hasobject:
            return _Plain(unpickler.file_handle, unpickler.refused).load()
        return super().read_array(unpickler, ensure_native_byte_order)


class _Find:
    refused: dict[str, str]

    def find_class(self, module: str, name: str) -> Any:
        why = refusal(module, name)
        if why is not None:
            self.refused[f"{module}.{name}"] = why
            raise ArtifactError(f"{module}.{name}: {why}")
        if name == "NumpyArrayWrapper":
            return _AuditedArray
        return super().find_class(module, name)  # type: ignore[misc]


class _Plain(_Find, pickle.Unpickler):
    def __init__(self, file: Any, refused: dict[str, str]) -> None:
        super().__init__(file)
        self.refused = refused


class _Joblib(_Find, joblib.numpy_pickle.NumpyUnpickler):  # type: ignore[misc]
    def __init__(self, filename: str, file: Any) -> None:
        super().__init__(filename, file, ensure_native_byte_order=True)
        self.refused = {}


def load(path: Path, *, trust: bool) -> Any:
    """Return the object in a pickle, joblib or skops file.

    Parameters
    ----------
    trust : load it whatever it names

    Raises
    ------
    ArtifactError
        The file is none, or names what could run code; the message says what, and the cure.
    """
    try:
        if path.suffix == SKOPS:
            return _load_skops(path, trust)
        with path.open("rb") as file:
            if trust:
                return joblib.load(file)
            return _load_audited(path, file)
    except ArtifactError as error:
        raise ArtifactError(
            f"{path.name} could run code when it is loaded, because it names {error}. If you know where the "
            "file comes from, set trust: true in this model's config; or save the model in a format without "
            "code (xgboost's .json or .ubj, lightgbm's .txt, ONNX)"
        ) from None
    except FileNotFoundError:
        raise ArtifactError(f"{path}: there is no such file") from None
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"{path.name} needs the package {error.name}, which isn't installed in dbt's environment: "
            "install it there, in the version that the model was saved with"
        ) from error
    except DAMAGED as error:
        raise ArtifactError(
            f"{path.name} can't be loaded as a pickle, joblib or skops file ({type(error).__name__}: "
            f"{error}); is it complete, and saved with the libraries that are installed here?"
        ) from error


def _load_audited(path: Path, file: BinaryIO) -> Any:
    with joblib.numpy_pickle_utils._validate_fileobject_and_memmap(file, path.name, None) as (opened, _):
        return _Joblib(path.name, opened).load()


def _load_skops(path: Path, trust: bool) -> Any:
    """MLflow writes scikit-learn's models in this format unless told otherwise; its own types it knows."""
    import skops.io

    unknown = skops.io.get_untrusted_types(file=path)
    if not trust:
        for name in unknown:
            module, _, last = name.rpartition(".")
            why = refusal(module, last)
            if why is not None:
                raise ArtifactError(f"{name}: {why}")
    return skops.io.load(path, trusted=unknown)


def globals_of(pickled: bytes) -> tuple[str, ...]:
    """Return 'module:name' of everything that one of our own pickles names, by loading it."""
    seen: set[str] = set()

    class Recorder(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            seen.add(f"{module}:{name}")
            return super().find_class(module, name)

    Recorder(io.BytesIO(pickled)).load()
    return tuple(sorted(seen))
