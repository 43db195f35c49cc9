"""Names of macros: dbt finds out only when a macro is called that one of those it calls is not there."""

from __future__ import annotations

import re
from pathlib import Path

import dbt.include.global_project

MACROS = Path(__file__).parents[3] / "macros"
ADAPTER = MACROS.parent / "adapter"
#: dbt's own macros that this adapter replaces: dbt calls them by these names
REPLACED = {"postgres_ml__load_csv_rows"}


def _all(pattern: str, folder: Path) -> set[str]:
    return {
        name
        for file in sorted(folder.rglob("*.sql"))
        for name in re.findall(pattern, file.read_text(encoding="utf-8"))
    }


def test_every_macro_that_is_called_is_there_and_every_one_that_is_there_is_called() -> None:
    files = [*MACROS.rglob("*.sql"), *ADAPTER.rglob("*.py")]  # the worker's project has a hook of ours
    named = [name for file in files for name in re.findall(r"postgres_ml__\w+", file.read_text())]
    defined = _all(r"macro (postgres_ml__\w+)", MACROS)
    assert set(named) - defined == set()
    assert {name for name in defined if named.count(name) == 1} == REPLACED


def test_no_other_macro_has_a_name_that_dbt_looks_for() -> None:
    """`adapter.dispatch('drop_relation')` takes postgres_ml__drop_relation before any other."""
    [folder] = map(Path, dbt.include.global_project.__path__)
    dispatched = _all(r"dispatch\(\s*['\"](\w+)", folder)
    assert "drop_relation" in dispatched
    replaced = {f"postgres_ml__{name}" for name in dispatched} & _all(r"macro (postgres_ml__\w+)", MACROS)
    assert replaced == REPLACED
