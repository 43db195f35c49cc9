"""Install a dbt-core into this Python's environment without its experimental parser.

dbt-core 1.12 requires dbt-core-experimental-parser, whose only distribution is an archive that downloads a
wheel from a code host while it is built: behind a mirror or a firewall that fails. dbt needs it for
`--use-v2-parser` alone. So everything else that dbt-core requires is installed first, then dbt-core.

    python scripts/install_dbt.py "dbt-core>=1.12,<1.13"
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

PARSER = "dbt-core-experimental-parser"


def pip(*arguments: str) -> None:
    """Run pip of this environment; what it says of a failure is on stderr."""
    subprocess.run([sys.executable, "-m", "pip", *arguments, "--quiet"], check=True)


def requirements_of(wheel: Path) -> list[str]:
    """Return what a wheel requires, as it says it."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", [])


def main() -> None:
    """Install what the command line asks for."""
    with tempfile.TemporaryDirectory() as folder:
        pip("download", "--no-deps", "--only-binary", ":all:", "--dest", folder, sys.argv[1])
        (wheel,) = Path(folder).glob("dbt_core-*.whl")
        pip("install", *(text for text in requirements_of(wheel) if not text.startswith(PARSER)))
        pip("install", "--no-deps", str(wheel))


if __name__ == "__main__":
    main()
