"""The adapter's folders import in one direction; import-linter can't say it of a namespace package's part."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import dbt.adapters.postgres_ml
import pytest

PACKAGE = "dbt.adapters.postgres_ml"
ROOT = Path(dbt.adapters.postgres_ml.__file__).parent
#: from the top down: a layer imports only from those below it, and modules of one layer not each other
LAYERS = [
    {"worker"},
    {"impl"},
    {"build"},
    {"catalog", "operations"},
    {"config", "seeds"},
    {"session"},
    {"connections"},
    {"gitignore"},
    {"credentials", "limits", "log", "__version__"},
]
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            yield (node.module or "").removeprefix(f"{PACKAGE}.").partition(".")[0]


def layer(name: str) -> int:
    (number,) = (number for number, names in enumerate(LAYERS) if name in names)
    return number


def own(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_its_own_folder_and_lower_layers(path: Path) -> None:
    wrong = [name for name in imports(path) if name != own(path) and layer(name) <= layer(own(path))]
    assert wrong == []


def test_no_two_modules_import_each_other_in_a_round() -> None:
    graph = {module_name(path): set(modules_of(path)) for path in MODULES}
    while leaves := [name for name, needs in graph.items() if not needs & set(graph)]:
        for name in leaves:
            del graph[name]
    assert not graph, f"a circle among {sorted(graph)}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([PACKAGE, *(part for part in parts if part != "__init__")])


def modules_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
