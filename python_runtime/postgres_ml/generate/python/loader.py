"""The first lines of every function in runtime python: the scorer, from the session or from the catalog."""

from __future__ import annotations

# Arguments are global names of the function, whatever they are called: a column `GD`, `plpy` or `exec` would
# hide PL/Python's and Python's own, so that these are imported.
LOADER = """\
import builtins, plpy
from __main__ import GD
scorer = GD.get(("postgres_ml", SHA256))
if scorer is None:
    import hashlib, io, os, sys, types, zipfile
    # before numpy comes in: a backend must stay one thread
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    path = PYTHON_PATH
    if path and path not in sys.path:
        sys.path.insert(0, path)
    rows = plpy.execute("select content from postgres_ml.artifact where sha256 = '" + SHA256 + "'", 1)
    if not rows:
        plpy.error(
            "the catalog postgres_ml.artifact has no artifact " + SHA256 + ": the model can't be run",
            hint="Build its dbt model again.", sqlstate="P0002",
        )
    content = rows[0]["content"]
    if hashlib.sha256(content).hexdigest() != SHA256:
        plpy.error(
            "artifact " + SHA256 + " in postgres_ml.artifact has been changed: its digest differs",
            hint="Nothing of it was run. Build its dbt model again.", sqlstate="XX001",
        )
    archive = zipfile.ZipFile(io.BytesIO(content))
    module = types.ModuleType("postgres_ml_unpack")
    name = "<unpack.py in artifact " + SHA256[:12] + ">"
    builtins.exec(builtins.compile(archive.read("unpack.py"), name, "exec"), module.__dict__)
    try:
        scorer = module.load(archive)
    except builtins.ImportError as error:
        plpy.error(
            f"the model needs a library that the server's Python lacks: {error}",
            hint="Searched: " + os.pathsep.join(sys.path), sqlstate="38000",
        )
    except module.OtherVersionsError as error:
        plpy.error(
            f"the server's Python is not the one that the model was published for: {error}",
            hint="Install the versions that it was, or build its dbt model again.", sqlstate="38000",
        )
    except module.UntrustedError as error:
        plpy.error(f"artifact {SHA256}: {error}", sqlstate="38000")
    GD[("postgres_ml", SHA256)] = scorer
"""


def loader(sha256: str, python_path: str | None) -> str:
    """Return the lines that leave the artifact's scorer in the variable `scorer`."""
    return LOADER.replace("PYTHON_PATH", repr(python_path)).replace("SHA256", repr(sha256))
