"""Reads pickles, joblib's files and skops files of unknown origin.

A pickle is a program: to load one of unknown origin is to run it. Here it may name estimators and arrays of
libraries we know, and nothing else (in the manner of skops, for pickles and joblib's files). Each name is
checked before it is looked up, and each call before it is made.
"""

from __future__ import annotations

import _compat_pickle
import functools
import lzma
import pickle
import struct
import types
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import joblib
import joblib.numpy_pickle
import joblib.numpy_pickle_utils
import numpy as np
from sklearn.utils.validation import check_array

from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.serve.loaded_structure import check_dtype, check_structure
from postgres_ml.serve.pickle_names import ALIASES, CYTHON_FUNCTIONS, is_only_held, refusal
from postgres_ml.serve.trial import Limits

SKOPS = ".skops"
DAMAGED = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, EOFError),
    *(ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError, RecursionError),
    *(struct.error, zlib.error, lzma.LZMAError, AssertionError, ImportError, BufferError, SystemError),
    *(NotImplementedError, OSError, RuntimeError, ArithmeticError),
)
#: the longest range that a file may make a list of; bins and columns are a few thousand
LONGEST_RANGE = 1_000_000
FUNCTIONS = ("function", *CYTHON_FUNCTIONS)
#: what a call makes of a number is as long as the number says
SIZED = (bytes, bytearray)


def read(path: Path) -> Any:
    """Return the object in a file of unknown origin.

    Raises
    ------
    ArtifactError
        The file is damaged, or names what could run code; the message says what, and the cure.
    MemoryError
        It needs more memory than there is.
    """
    return _described(path, lambda: check_structure(_skops(path) if path.suffix == SKOPS else _pickle(path)))


def read_trusted(path: Path) -> Any:
    """Return the object in a file whatever it names, which may run code; raises as `read` does."""
    return _described(path, lambda: _skops_trusted(path) if path.suffix == SKOPS else joblib.load(path))


def _described(path: Path, load: Callable[[], Any]) -> Any:
    """Return what is loaded, with the errors that damaged files raise made one."""
    try:
        return load()
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
            f"{str(error)[:300]}); is it complete, and saved with the libraries that are installed here?"
        ) from error


def _pickle(path: Path) -> Any:
    with (
        path.open("rb") as file,
        joblib.numpy_pickle_utils._validate_fileobject_and_memmap(file, path.name, None) as (opened, _),
    ):
        return _Joblib(path.name, opened, Limits.of(path).memory).load()


def _skops(path: Path) -> Any:
    """MLflow writes scikit-learn's models in this format unless told otherwise; its own types it knows."""
    import skops.io

    with zipfile.ZipFile(path) as archive:
        unpacked, allowed = sum(item.file_size for item in archive.infolist()), Limits.of(path).memory
    if unpacked > allowed:
        raise ValueError(f"its contents take {unpacked} bytes, more than a file of this size may")
    unknown = skops.io.get_untrusted_types(file=path)
    for name in unknown:
        module, _, last = name.rpartition(".")
        why = refusal(module, last)
        if why is not None:
            raise ArtifactError(f"{name}: {why}")
    return skops.io.load(path, trusted=unknown)


def _skops_trusted(path: Path) -> Any:
    import skops.io

    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


class _AuditedArray(joblib.numpy_pickle.NumpyArrayWrapper):  # type: ignore[misc]
    """joblib reads arrays of objects by a pickle of their own, which has to be audited as well."""

    def read_array(self, unpickler: Any, ensure_native_byte_order: bool = False) -> Any:
        check_dtype(self.dtype)
        if self.dtype.hasobject:
            return _Plain(unpickler.file_handle, unpickler.memory).load()
        _check_size(self.shape, self.dtype, unpickler.memory)
        return super().read_array(unpickler, ensure_native_byte_order)

    def read_mmap(self, unpickler: Any) -> Any:
        raise ValueError("an array that is mapped into memory")


def _check_size(shape: Any, dtype: Any, allowed: int) -> None:
    if not isinstance(shape, tuple) or not all(isinstance(n, int | np.integer) and n >= 0 for n in shape):
        raise ValueError(f"an array of shape {str(shape)[:100]}")
    size = int(dtype.itemsize)
    for n in shape:
        size *= int(n)
    if size > allowed:
        raise ValueError(f"an array of {size} bytes, more than a file of this size may hold")


class _Audited:
    """What both unpicklers check; they are Python's own in Python, whose every step can be overridden."""

    proto = 0

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name means, if it may be named; protocols 0 to 2 name modules as Python 2 did."""
        if self.proto < 3:
            module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
            module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        module = ALIASES.get(module, module)
        why = refusal(module, name)
        if why is not None:
            raise ArtifactError(f"{module}.{name}: {why}")
        if name == "NumpyArrayWrapper":
            return _AuditedArray
        return super().find_class(module, name)  # type: ignore[misc]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse: what an id stands for is not in the file."""
        raise pickle.UnpicklingError(
            f"a persistent id, {str(pid)[:100]!r}, in a file that has to be complete"
        )

    def _instantiate(self, made: Any, arguments: Any) -> None:
        _check_call(made, tuple(arguments))
        super()._instantiate(made, arguments)  # type: ignore[misc]


def _reduce(unpickler: Any, base: Callable[[Any], None]) -> None:
    """Call a function, or refuse to."""
    _check_call(unpickler.stack[-2], unpickler.stack[-1])
    base(unpickler)
    if isinstance(unpickler.stack[-1], np.dtype):
        check_dtype(unpickler.stack[-1])


def _make(unpickler: Any, base: Callable[[Any], None]) -> None:
    """Make an object of a class, or refuse to."""
    _check_call(unpickler.stack[-2], unpickler.stack[-1])
    base(unpickler)


def _make_by_name(unpickler: Any, base: Callable[[Any], None]) -> None:
    """Make an object of a class, or refuse to."""
    _check_call(unpickler.stack[-3], unpickler.stack[-2])
    if unpickler.stack[-1]:
        raise pickle.UnpicklingError("an object made with arguments by name")
    base(unpickler)


def _build(unpickler: Any, base: Callable[[Any], None]) -> None:
    """Give an object its state; what is no instance, such as a class of a library, keeps its own."""
    owner = unpickler.stack[-2]
    if isinstance(owner, type | types.ModuleType) or type(owner).__name__ in FUNCTIONS:
        raise pickle.UnpicklingError(f"a new state for {str(owner)[:100]}, which is no instance")
    state = unpickler.stack[-1]
    if isinstance(owner, functools.partial) and (
        not isinstance(state, tuple) or state[:2] != (check_array, ())
    ):
        raise pickle.UnpicklingError("a partial function that no library writes")
    base(unpickler)
    if isinstance(owner, np.dtype):
        check_dtype(owner)


def _check_call(function: Any, arguments: Any) -> None:
    """Check what a file calls: that nothing is far larger than the file, and that no file is opened.

    Raises
    ------
    UnpicklingError
        It is something that no library writes.
    """
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__name__', function)}"
    first = arguments[0] if isinstance(arguments, tuple) and arguments else None
    is_wrong = (
        not isinstance(arguments, tuple)
        or is_only_held(function)
        or (function is functools.partial and arguments != (check_array,))
        or (function in SIZED and isinstance(first, int))
        or any(isinstance(value, range) and len(value) > LONGEST_RANGE for value in arguments)
        or (function is np.ndarray and arguments)
        or (name.endswith("._reconstruct") and arguments[1:2] not in [((0,),), (0,)])
        or (name == "_codecs.encode" and str(arguments[1:2]) not in ("('latin1',)", "('latin-1',)"))
        or (name in ("xgboost.core.Booster", "lightgbm.basic.Booster") and arguments)
        or (name.startswith("scipy.sparse.") and arguments)
    )
    if is_wrong:
        raise pickle.UnpicklingError(f"a call of {name} that no library writes")


def _audited(dispatch: dict[int, Any]) -> dict[int, Any]:
    """Return the table that an unpickler goes by, with the checks before its steps."""
    checks = {
        pickle.BUILD: _build,
        pickle.REDUCE: _reduce,
        pickle.NEWOBJ: _make,
        pickle.NEWOBJ_EX: _make_by_name,
    }
    checked = {
        code[0]: functools.partial(check, base=dispatch[code[0]])  # each is called with the unpickler
        for code, check in checks.items()
    }
    return {**dispatch, **checked}


def _bounded(read: Callable[[int], bytes], memory: int) -> Callable[[int], bytes]:
    """Return a function that reads no piece which the file can't hold: memory is taken before it is read."""

    def bounded(size: int) -> bytes:
        if size > memory:
            raise pickle.UnpicklingError(f"a piece of {size} bytes, more than a file of this size may hold")
        return read(size)

    return bounded


class _Plain(_Audited, pickle._Unpickler):
    dispatch: ClassVar[dict[int, Any]] = _audited(pickle._Unpickler.dispatch)

    def __init__(self, file: BinaryIO, memory: int) -> None:
        super().__init__(file)
        self.memory, self._file_read = memory, _bounded(file.read, memory)


class _Joblib(_Audited, joblib.numpy_pickle.NumpyUnpickler):  # type: ignore[misc]
    dispatch: ClassVar[dict[int, Any]] = _audited(joblib.numpy_pickle.NumpyUnpickler.dispatch)

    def __init__(self, filename: str, file: BinaryIO, memory: int) -> None:
        super().__init__(filename, file, ensure_native_byte_order=True)
        self.memory, self._file_read = memory, _bounded(file.read, memory)
