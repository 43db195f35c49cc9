"""The C sources' order: no circle of files, and folders that use each other in one direction only."""

from __future__ import annotations

import graphlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.native_server import load_builder

EXTENSION = Path(__file__).parents[2] / "extension"
SOURCES = EXTENSION / "src"
Graph = dict[str, set[str]]

# language/ may use all, trees/ only program/, program/ only itself but for the one step that is trees
ALLOWED = {("language", "program"), ("language", "trees"), ("trees", "program")}
TREES_AS_A_STEP = {("program/parse", "trees/ensemble"), ("program/parse", "trees/ensemble_step")}


def name_of(file: Path) -> str:
    """Name a source and its header alike: `program/reader` is reader.c and reader.h."""
    return file.relative_to(SOURCES).with_suffix("").as_posix()


def files(pattern: str = "*/*.[ch]") -> list[Path]:
    return sorted(SOURCES.glob(pattern))


def includes(file: Path) -> Iterator[tuple[str, Path | None]]:
    """Yield what a file includes in quotes, with its path where it is ours and None where it is the server's."""
    for included in re.findall(r'^#include "(.+)"$', file.read_text(), re.MULTILINE):
        places = [file.parent / included, SOURCES / included]
        yield included, next((place for place in places if place.is_file()), None)


def included_files() -> Graph:
    graph: Graph = {name_of(file): set() for file in files()}
    for file in files():
        graph[name_of(file)] |= {name_of(path) for _, path in includes(file) if path} - {name_of(file)}
    return graph


@pytest.fixture(scope="module")
def called_files(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """Of each object file, those that define the symbols it leaves undefined."""
    builder = load_builder()
    headers = builder.server_headers()
    if builder.compiler() is None or not headers:
        pytest.skip("no C compiler, or no server's headers")
    directory = tmp_path_factory.mktemp("objects")
    command = [builder.compiler(), "-std=gnu99", "-c", "-I", SOURCES, "-isystem", headers[max(headers)]]
    subprocess.run([*command, *files("*/*.c")], cwd=directory, check=True)
    defined: dict[str, str] = {}
    needed: Graph = {}
    for file in files("*/*.c"):
        name = name_of(file)
        listed = subprocess.run(
            ["nm", "-P", "-g", f"{file.stem}.o"], cwd=directory, capture_output=True, text=True, check=True
        ).stdout
        symbols = [line.split()[:2] for line in listed.splitlines()]
        needed[name] = {symbol for symbol, kind in symbols if kind == "U"}
        defined |= {symbol: name for symbol, kind in symbols if kind != "U"}
    assert any("plm_run" in symbol for symbol in defined)
    return {name: {defined[s] for s in symbols if s in defined} for name, symbols in needed.items()}


@pytest.fixture
def used_files(called_files: Graph) -> Graph:
    """Both together: a file uses what it includes and what it calls."""
    return {name: used | called_files.get(name, set()) for name, used in included_files().items()}


def circle_of(graph: Graph) -> list[str]:
    """Return the files of a circle, the first again at its end; empty where there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def folders_of(edge: tuple[str, str]) -> tuple[str, str]:
    return edge[0].split("/")[0], edge[1].split("/")[0]


def test_no_circle_of_files(used_files: Graph):
    assert circle_of(used_files) == []
    assert circle_of({**used_files, "program/reader": {"program/parse"}}) != []


def test_folders_use_each_other_in_one_direction(used_files: Graph):
    edges = {(user, used) for user, all_used in used_files.items() for used in all_used}
    across = {edge for edge in edges if len(set(folders_of(edge))) == 2}
    assert {edge for edge in across if folders_of(edge) not in ALLOWED} == TREES_AS_A_STEP


def test_parsers_and_kernels_know_the_server_by_the_platform_alone():
    """All but platform.c is fuzzed outside of the server."""
    core = [file for file in files() if file.parent.name != "language" and file.stem != "platform"]
    assert [(file.name, name) for file in core for name, path in includes(file) if path is None] == []


def test_every_file_has_a_name_of_its_own():
    """PGXS keeps dependencies by the name alone, as does a compiler that is given all files at once."""
    stems = [file.stem for file in files("*/*.c")]
    assert len(stems) == len(set(stems)) > 20


def test_the_table_of_files_is_complete():
    """Each source stands in the README's table, and each header that belongs to no source."""
    listed = re.findall(r"^\| `src/(.+?)` \| \S", (EXTENSION / "README.md").read_text(), re.MULTILINE)
    sources = [file for file in files() if file.suffix == ".c" or not file.with_suffix(".c").exists()]
    assert sorted(listed) == sorted(file.relative_to(SOURCES).as_posix() for file in sources)
    assert {file.parent for file in SOURCES.rglob("*.[ch]")} == {file.parent for file in files()}
