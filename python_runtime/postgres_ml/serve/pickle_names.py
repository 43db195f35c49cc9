"""Which names a pickle of unknown origin may hold: estimators and arrays of libraries we know."""

from __future__ import annotations

import importlib
import types
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array

LIBRARIES = ("sklearn", "xgboost", "lightgbm")
#: modules of ours that define what a fitted pipeline is made of; they hold no function that a pickle may name
OWN_MODULES = tuple(
    f"postgres_ml.{name}"
    for name in (
        *("components.additive", "components.anomaly", "components.boosters", "components.estimators"),
        *(
            "components.frame_reader",
            "components.neural_network",
            "components.stacking",
            "components.text",
            "components.text_statistics",
            "components.transformers",
        ),
        "track.pyfunc",
    )
)
#: their names in release 0.1.0, which its pickles use
FORMER_MODULES = tuple(
    f"postgres_ml.{name}"
    for name in ("estimators", "data.frame_reader", "networks", "serving.registered_pyfunc", "transformers")
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
        *(f"numpy.random._{n.lower()}:{n}" for n in ("PCG64", "MT19937", "Philox", "SFC64")),
        *("numpy.random._pcg64:PCG64DXSM", "numpy.random.bit_generator:SeedSequence"),
        "numpy.random.bit_generator:__pyx_unpickle_SeedSequence",
        *("numpy.random._pickle:__randomstate_ctor", "numpy.random._pickle:__generator_ctor"),
        "numpy.random._pickle:__bit_generator_ctor",
        *("scipy.sparse._csr:csr_matrix", "scipy.sparse._csr:csr_array", "scipy.sparse._csc:csc_matrix"),
        *("joblib.numpy_pickle:NumpyArrayWrapper", "xgboost.core:Booster", "lightgbm.basic:Booster"),
        *(f"postgres_ml.components.additive:{n}" for n in ("Axis", "Term")),
        *("sklearn.utils._bunch:Bunch", "sklearn._loss.loss:BaseLoss", "decimal:Decimal"),
    }
)
#: classes of compiled and private parts of the libraries, by the module's beginning: trees, losses, kernels
PARTS = (
    *("sklearn.tree._tree", "sklearn._loss", "sklearn.neighbors._", "sklearn.metrics._dist_metrics"),
    *("sklearn.ensemble._", "sklearn.linear_model._", "sklearn.gaussian_process.kernels"),
    *("sklearn.preprocessing._", "sklearn.compose._", "sklearn.utils._tags", "sklearn.calibration"),
    *("sklearn.neural_network._stochastic_optimizers", "sklearn.metrics._scorer"),
    "sklearn.utils._metadata_requests",
)
#: modules whose functions compute numbers of numbers: estimators hold some, and a file may not call them
METRICS = tuple(f"sklearn.metrics._{n}" for n in ("classification", "regression", "ranking"))
UFUNCS = ("numpy", "numpy.core._multiarray_umath", "numpy._core._multiarray_umath")
#: modules under the names that compiled classes of scikit-learn before 1.7 give them
ALIASES = {"_loss": "sklearn._loss._loss"}
#: what HistGradientBoosting reads columns without categories by
HELD = {("functools", "partial"), ("sklearn.utils.validation", "check_array")}


CYTHON_FUNCTIONS = ("cython_function_or_method", "builtin_function_or_method")


def refusal(module: str, name: str) -> str | None:
    """Return why a pickle may not name this, or None; imports the module only if it is of a known library.

    A name with a dot is a walk through attributes, which leads from any function to `__globals__` and from
    there to everything: none is allowed. What is found has to be the module's own object.
    """
    if f"{module}:{name}" in BUILDING_BLOCKS or (module, name) in HELD:
        return None
    if "." in name or not name.isidentifier():
        return "a path through attributes, which can lead anywhere"
    if module in UFUNCS and isinstance(getattr(np, name, None), np.ufunc):
        return None
    if module.partition(".")[0] not in LIBRARIES and module not in (*OWN_MODULES, *FORMER_MODULES):
        return "not of a library that is known to hold nothing but data"
    try:
        found: Any = vars(importlib.import_module(module))[name]
    except (ImportError, KeyError):
        return "not in the version of the library that is installed here"
    is_allowed = _is_estimator(found) or _is_rebuilder(found, module, name) or _is_metric(found, module)
    return None if is_allowed else "no estimator"


def _is_estimator(found: Any) -> bool:
    """Return whether this is an estimator's class, or that of a part of one."""
    home = _home(found)
    if not isinstance(found, type) or (home.partition(".")[0] not in LIBRARIES and home not in OWN_MODULES):
        return False
    return issubclass(found, BaseEstimator) or home.startswith(PARTS)


def _is_metric(found: Any, module: str) -> bool:
    return isinstance(found, types.FunctionType) and found.__module__ == module and module in METRICS


def is_only_held(found: Any) -> bool:
    """Return whether a file may hold this function, and not call it."""
    return isinstance(found, np.ufunc) or found is check_array or _is_metric(found, _home(found))


def _home(found: Any) -> str:
    home = str(getattr(found, "__module__", ""))
    return ALIASES.get(home, home)


def _is_rebuilder(found: Any, module: str, name: str) -> bool:
    """Return whether this is the function of a Cython module that rebuilds an extension type of its own."""
    is_named = name == "newObj" or name.startswith("__pyx_unpickle_")
    is_own = type(found).__name__ in CYTHON_FUNCTIONS and _home(found) == module
    return is_named and is_own and module.startswith(PARTS)
