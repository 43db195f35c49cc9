"""Install statsforecast into this Python's environment beside whatever pandas is there.

statsforecast and fugue ask for pandas below 3, and pip would put an older one in the place of the pandas that
the tests are to run with. What is used of them, models on arrays, works with either. So everything else that
the two require is installed first, then they themselves.

    python scripts/install_forecast.py "statsforecast>=2.1,<3"
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from install_dbt import pip, requirements_of

ALONE = ("fugue",)  # requires pandas below 3 too
LEFT_OUT = ("pandas", *ALONE)


def main() -> None:
    """Install what the command line asks for."""
    with tempfile.TemporaryDirectory() as folder:
        pip("download", "--no-deps", "--dest", folder, sys.argv[1], *ALONE)
        wheels = sorted(Path(folder).glob("*.whl"))
        required = [text for wheel in wheels for text in requirements_of(wheel) if "extra ==" not in text]
        pip("install", *(text for text in required if name_of(text) not in LEFT_OUT))
        pip("install", "--no-deps", *map(str, wheels))


def name_of(requirement: str) -> str:
    """Return the distribution that a requirement names."""
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0].lower()


if __name__ == "__main__":
    main()
