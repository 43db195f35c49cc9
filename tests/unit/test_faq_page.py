"""The messages that docs/faq.md quotes are those of the sources."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)
SOURCES = ("python_runtime/postgres_ml", "adapter/dbt/adapters", "macros")
# between two lines of one literal: `" "`, `' ~ '` of Jinja at a line's end or begin
BREAK = re.compile(r"""["'] *(?:~ *)?\n\s*(?:~ *)?f?["']""")


@pytest.fixture(scope="module")
def sources() -> str:
    """All sources as one text, in which literals of several lines are one."""
    files = [path for folder in SOURCES for path in sorted((ROOT / folder).rglob("*"))]
    texts = [path.read_text(encoding="utf-8") for path in files if path.suffix in (".py", ".sql")]
    return BREAK.sub("", re.sub(r"\\([\"'])", r"\1", "\n".join(texts)))


@pytest.mark.parametrize("message", QUOTED)
def test_the_fixed_words_are_the_sources(message: str, sources: str) -> None:
    fixed = [re.escape(words.strip()) for words in message.split("…") if words.strip()]
    assert max(map(len, fixed)) > 10
    assert re.search(r"[^\n]{0,200}?".join(fixed), sources)


def test_there_are_enough_of_them() -> None:
    assert len(QUOTED) >= 30
