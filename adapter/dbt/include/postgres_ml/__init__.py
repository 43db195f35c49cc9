"""Where dbt finds this adapter's macros: beside this file, in a wheel as well as in a checkout.

In a checkout `macros` is a link to the repository's own macros/, the one copy; the wheel carries the files.
"""

from pathlib import Path

PACKAGE_PATH = str(Path(__file__).resolve().parent)
