"""The documentation's pages as text: their width, their links, the files they name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
WIDTH = 110
GENERATED = ("docs/support.md", "docs/compatibility.md")  # paragraphs of docstrings; commands
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE_SPAN = re.compile(r"`([^`\n]+)`")
SOURCE = re.compile(r"[\w./…-]+\.(?:py|sql|md|c|h|toml|cfg|in)|[\w.…-]+(?:/[\w.…-]+)*/")
NOT_OURS = {
    # files of a reader's project, of a build and of MLflow
    *("churn.py", "name.sql", "target/", "site/", "artifacts/", "mlartifacts/", "model_card.md"),
    *("shop.pgdata/", "logs/"),
    *("functions.sql", "training_query.sql"),
}
OF_BUILDS = {"target", "logs", "dbt_packages", "mlruns", "mlartifacts", "__pycache__"}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def lines_outside_code(text: str) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines that are in no block of code."""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        opened = re.match(r"\s*(```+)", line)
        if opened and not fence:
            fence = opened[1]
        elif opened and line.strip() == fence:
            fence = ""
        elif not fence:
            yield number, line


def prose(page: Path) -> str:
    return "\n".join(line for _, line in lines_outside_code(page.read_text(encoding="utf-8")))


def is_prose(line: str) -> bool:
    """Return whether a line can be wrapped: no row of a table, no comment, not one long word such as a link."""
    words = re.sub(r"^\s*(?:[*-]|\d+\.)\s+", "", line).split()
    return not line.lstrip().startswith(("|", "<!--")) and len(words) > 1


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?)\s*$", prose(page), re.MULTILINE)
    texts = [LINK.sub(lambda link: link[0].partition("]")[0][1:], heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


@pytest.fixture(scope="module")
def tree() -> str:
    """All files and folders of the repository, one a line, each after a slash; folders end with a slash."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        passed_over = {name for name in folders if name.startswith(".") and name not in (".github", ".ci")}
        passed_over |= OF_BUILDS | ({"build", "dist"} if folder == str(ROOT) else set())
        folders[:] = [name for name in folders if name not in passed_over]
        place = "/" if folder == str(ROOT) else f"/{Path(folder).relative_to(ROOT).as_posix()}/"
        found += [place + name for name in files] + [f"{place}{name}/" for name in folders]
    return "\n".join(found)


@pages
def test_prose_is_wrapped(page: Path) -> None:
    if page.relative_to(ROOT).as_posix() in GENERATED:
        pytest.skip("generated")
    text = page.read_text(encoding="utf-8")
    wide = [number for number, line in lines_outside_code(text) if len(line) > WIDTH and is_prose(line)]
    assert wide == [], f"lines wider than {WIDTH} characters"


@pages
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


@pages
def test_files_that_are_named_exist(page: Path, tree: str) -> None:
    """A path in backticks is one of the repository or the end of one; … stands for anything between."""
    named = {span for span in CODE_SPAN.findall(prose(page)) if SOURCE.fullmatch(span)} - NOT_OURS
    missing = [
        name
        for name in sorted(named)
        if not re.search(rf"/{re.escape(name).replace('…', '.*')}$", tree, re.MULTILINE)
    ]
    assert missing == []


@pages
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z0-9-]+)", prose(page))) <= set(targets)


@pages
def test_no_page_cites_what_readers_lack(page: Path) -> None:
    assert re.findall(r"\bSPEC\b", page.read_text(encoding="utf-8")) == []


def test_every_decision_is_in_the_index() -> None:
    index = ROOT / "docs" / "decisions" / "README.md"
    linked = set(LINK.findall(prose(index)))
    assert linked == {page.name for page in index.parent.glob("[0-9]*.md")}


def test_every_page_has_a_place_on_the_docs_site() -> None:
    placed = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= placed
