"""The messages that docs/faq.md and docs/card.md quote are those of the sources."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAQ, CARD = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("faq.md", "card.md"))
ERRORS = re.findall(r"^### `(.+)`$", FAQ, re.MULTILINE)
WARNINGS = re.findall(r"^\| (.+?) \|", CARD.partition("| it says |")[2].partition("\n\n")[0], re.MULTILINE)
SOURCES = ("python_runtime/postgres_ml", "adapter/dbt/adapters", "macros")
# between two lines of one literal: `" "`, `' ~ '` of Jinja at a line's end or begin
BREAK = re.compile(r"""["'] *(?:~ *)?\n\s*(?:~ *)?f?["']""")


@pytest.fixture(scope="module")
def sources() -> str:
    """All sources as one text, in which literals of several lines are one."""
    files = [path for folder in SOURCES for path in sorted((ROOT / folder).rglob("*"))]
    texts = [path.read_text(encoding="utf-8") for path in files if path.suffix in (".py", ".sql")]
    return BREAK.sub("", re.sub(r"\\([\"'])", r"\1", "\n".join(texts)))


@pytest.mark.parametrize("message", [*ERRORS, *WARNINGS])
def test_the_fixed_words_are_the_sources(message: str, sources: str) -> None:
    fixed = [re.escape(words.strip()) for words in message.split("…") if words.strip()]
    assert max(map(len, fixed)) > 10
    assert re.search(r"[^\n]{0,200}?".join(fixed), sources)


def test_the_pages_quote_what_users_meet() -> None:
    assert len(ERRORS) >= 30 and len(WARNINGS) >= 10
