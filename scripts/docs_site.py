"""What mkdocs asks while it builds the site: pages outside of docs/, and links to what is no page."""

from __future__ import annotations

import posixpath
import runpy
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINKS = runpy.run_path(str(ROOT / "scripts/repository_links.py"))
# pages outside of docs/, by where they stand on the site
OUTSIDE = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "releasing.md": "RELEASING.md",
    "reporting.md": "SECURITY.md",
    "benchmarks.md": "benchmarks/RESULTS.md",
    "extension.md": "extension/README.md",
    "fuzzing.md": "extension/test/fuzz/README.md",
}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages outside of docs/."""
    for place, source in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead links to pages of the site where these are, and others to the repository."""
    here = page.file.src_uri
    source = OUTSIDE.get(here, f"docs/{here}")
    places = {source: place for place, source in OUTSIDE.items()}

    def to(path: str) -> str | None:
        place = places.get(path, path.removeprefix("docs/"))
        if path not in places and not path.startswith("docs/"):
            return LINKS["address"](path)
        if path == "docs/decisions":
            place = "decisions/README.md"
        return posixpath.relpath(place, posixpath.dirname(here) or ".")

    return LINKS["rewrite"](markdown, source, to)
