"""Opens an artifact inside a Postgres backend: its versions, its modules, its pickle.

Input: the zip file that `artifact` made, whose digest the function has verified. Output: a `Scorer`. This
source is the first thing that runs of an artifact, in the server's own Python: standard library only.
"""

from __future__ import annotations

import importlib
import io
import json
import pickle
import platform
import sys
import types
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

SCORER = "postgres_ml.serve.scorer"


class OtherVersionsError(Exception):
    """The server's Python or a library of it is of another version than the training's."""


class UntrustedError(Exception):
    """The artifact's pickle names something that was not in it when it was packed."""


class ArtifactUnpickler(pickle.Unpickler):
    """Constructs nothing but the types that stood in the pipeline when it was packed.

    Parameters
    ----------
    file : of the pickle
    allowed : 'module:name' of each
    own : modules whose source is part of the artifact
    """

    def __init__(self, file: io.BytesIO, allowed: Sequence[str], own: Mapping[str, types.ModuleType]) -> None:
        super().__init__(file)
        self.allowed, self.own = frozenset(allowed), own

    def find_class(self, module: str, name: str) -> Any:
        """Return the type.

        Raises
        ------
        UntrustedError
            It is not among the allowed ones.
        """
        if f"{module}:{name}" not in self.allowed:
            raise UntrustedError(f"the pickle names {module}.{name}, which was not in it when it was packed")
        if module in self.own:
            found: Any = self.own[module]
            for part in name.split("."):
                found = getattr(found, part)
            return found
        return super().find_class(module, name)


def load(archive: zipfile.ZipFile) -> Any:
    """Return the scorer of an artifact.

    Raises
    ------
    OtherVersionsError
        Python, or a library, is not the one that the pipeline was packed with.
    UntrustedError
        The pickle names a type that was not in it when it was packed.
    ImportError
        A library that the pipeline needs is not there.
    """
    warnings.simplefilter("ignore")  # they would go to the server's log with every row
    about = json.loads(archive.read("about.json"))
    check_versions(about)
    own = _own_modules(archive, about["modules"])
    scorer: Any = own[SCORER]
    if about["format"] == "pyfunc":
        return scorer.Scorer(scorer.PyFunc(_load_pyfunc(archive)), about)
    encode = None
    if about["encoded"]:
        scope: dict[str, Any] = dict(scorer.ENCODER_SCOPE)
        exec(compile(archive.read("encoder.py"), "<encoder.py in the artifact>", "exec"), scope)
        encode = scope["encode"]
    pickled = io.BytesIO(archive.read("pipeline.pickle"))
    return scorer.Scorer(ArtifactUnpickler(pickled, about["globals"], own).load(), about, encode)


def check_versions(about: Mapping[str, Any]) -> None:
    """Check that Python and its libraries are still those of the training: a server gets upgrades.

    Raises
    ------
    OtherVersionsError
        Says both versions.
    """
    python = ".".join(platform.python_version_tuple()[:2])
    problems = [f"Python is {python}, and was {about['python']}"] if python != about["python"] else []
    if not problems:
        for name, wanted in about["libraries"].items():
            # pandas takes half a second, and many a session never needs it
            if wanted and not (name == "pandas" and about["encoded"]):
                have = getattr(importlib.import_module(name), "__version__", "")
                problems += [f"{name} is {have}, and was {wanted}"] if have != wanted else []
    if problems:
        raise OtherVersionsError("; ".join(problems))


def _own_modules(archive: zipfile.ZipFile, names: Sequence[str]) -> dict[str, types.ModuleType]:
    """Return the modules in the artifact, in the order in which they import one another.

    They are importable only while they are made: another artifact may bring other versions of them, and so
    may a package that is installed.
    """
    made: dict[str, types.ModuleType] = {}
    before = {name: sys.modules.get(name) for name in names}
    try:
        for name in names:
            module = types.ModuleType(name)
            if f"modules/{name}/__init__.py" in archive.namelist():
                module.__path__ = []
                source = archive.read(f"modules/{name}/__init__.py")
            else:
                source = archive.read(f"modules/{name}.py")
            made[name] = sys.modules[name] = module
            exec(compile(source, f"<{name} in the artifact>", "exec"), module.__dict__)
    finally:
        for name, module_before in before.items():
            if module_before is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module_before
    return made


def _load_pyfunc(archive: zipfile.ZipFile) -> Any:
    import tempfile

    import mlflow.pyfunc  # type: ignore[import-not-found, unused-ignore]

    with tempfile.TemporaryDirectory(prefix="postgres-ml-") as directory:
        archive.extractall(directory, [name for name in archive.namelist() if name.startswith("model/")])
        return mlflow.pyfunc.load_model(f"{directory}/model")
