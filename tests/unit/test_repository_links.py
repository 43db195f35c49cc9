"""Links of pages that are shown outside of the repository: on the package index and on the docs site."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = str(ROOT / "scripts" / "repository_links.py")
PAGE = """[a](docs/a.md#b) and [code](macros/x.sql), [here](#there), [web](https://example.com/a)
```sql
select [kept](docs/a.md)
```
[last](LICENSE)"""


def links(monkeypatch: pytest.MonkeyPatch, repository: str | None) -> dict[str, Any]:
    for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    if repository:
        monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.example")
        monkeypatch.setenv("GITHUB_REPOSITORY", repository)
    return runpy.run_path(SCRIPT)


def test_where_the_repository_is_known_links_lead_there(monkeypatch: pytest.MonkeyPatch) -> None:
    found = links(monkeypatch, "owner/name")
    root = "https://github.example/owner/name"
    assert found["rewrite"](PAGE, "README.md").splitlines() == [
        f"[a]({root}/blob/main/docs/a.md#b) and [code]({root}/blob/main/macros/x.sql), [here](#there), "
        "[web](https://example.com/a)",
        *PAGE.splitlines()[1:4],
        f"[last]({root}/blob/main/LICENSE)",
    ]
    assert f"]({root}/blob/main/macros/x.sql)" in found["rewrite"]("[up](../macros/x.sql)", "docs/a.md")
    assert found["project_urls"]()["Source"] == root


def test_where_it_is_not_known_no_link_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    found = links(monkeypatch, None)
    assert found["project_urls"]() == {}
    text = found["rewrite"]((ROOT / "README.md").read_text(encoding="utf-8"), "README.md")
    assert re.findall(r"\]\((?!https://|#)", text) == []
    assert "docs/architecture.md: how a build works" in text
