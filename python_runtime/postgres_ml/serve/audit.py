"""Loads models from pickles, joblib's and skops files; says what a pickle of our own names.

A file that nobody vouches for is loaded twice: first by a process that has nothing to lose (`trial`), then
here. Both times it may name what `pickle_names` allows and nothing else.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.serve import trial
from postgres_ml.serve.audited_pickle import SKOPS, read, read_trusted
from postgres_ml.serve.pickle_names import FORMER_MODULES, OWN_MODULES, refusal

__all__ = ["FORMER_MODULES", "OWN_MODULES", "SKOPS", "globals_of", "load", "refusal"]


def load(path: Path, *, trust: bool) -> Any:
    """Return the object in a pickle, joblib or skops file.

    Parameters
    ----------
    trust : load it whatever it names

    Raises
    ------
    ArtifactError
        The file is none, names what could run code, ends the process that loads it, or takes more memory or
        time than a file of its size may; the message says what, and the cure.
    """
    if trust:
        return read_trusted(path)
    trial.check(path, read)
    try:
        return read(path)
    except MemoryError:
        raise ArtifactError(f"{path.name} needs more memory than there is on this machine") from None


def globals_of(pickled: bytes) -> tuple[str, ...]:
    """Return 'module:name' of everything that one of our own pickles names, by loading it."""
    seen: set[str] = set()

    class Recorder(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            seen.add(f"{module}:{name}")
            return super().find_class(module, name)

    Recorder(io.BytesIO(pickled)).load()
    return tuple(sorted(seen))
