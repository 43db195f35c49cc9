"""macros/_macros.yml documents every public macro, argument by argument: what `dbt docs generate` shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

MACROS = Path(__file__).parents[3] / "macros"
HEAD = re.compile(r"{%-? (macro|test) (\w+)\((.*?)\) -?%}", re.DOTALL)
SIGNATURES = {
    ("test_" if kind == "test" else "") + name: re.findall(r"(\w+)(?:=[^,]*)?(?:,\s*|$)", arguments)
    for path in sorted(MACROS.rglob("*.sql"))
    for kind, name, arguments in HEAD.findall(path.read_text())
    if "__" not in name
}
DOCUMENTED = {
    entry["name"]: entry for entry in yaml.safe_load((MACROS / "_macros.yml").read_text())["macros"]
}
#: of dbt's own list; dbt 1.12 warns of another at every parse
TYPE = re.compile(r"str|string|bool|int|integer|float|any|relation|column|list\[string\]")
DOCUMENTED_ELSEWHERE = {  # they have a config instead of arguments
    "materialization_create_model_default",
    "materialization_create_model_postgres_ml",
}


def test_all_public_macros_are_documented_and_nothing_else() -> None:
    assert {"predict", "rollback_model", "test_model_age"} <= set(SIGNATURES)
    assert set(DOCUMENTED) - DOCUMENTED_ELSEWHERE == set(SIGNATURES)


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_are_those_of_the_macro(name: str) -> None:
    entry = DOCUMENTED[name]
    assert entry["description"].endswith(".")
    assert [argument["name"] for argument in entry.get("arguments", [])] == SIGNATURES[name]
    for argument in entry.get("arguments", []):
        assert argument["description"]
        assert TYPE.fullmatch(argument["type"])


@pytest.mark.parametrize(
    "path", sorted([*MACROS.glob("predict*.sql"), MACROS / "forecast.sql"]), ids=lambda path: path.name
)
def test_macros_in_queries_find_their_siblings_in_a_package_too(path: Path) -> None:
    """A bare name is unknown where the macros come by packages.yml: decision 36."""
    assert re.findall(r"(?<!macro )(?<![.\w])postgres_ml__\w+\(", path.read_text()) == []
