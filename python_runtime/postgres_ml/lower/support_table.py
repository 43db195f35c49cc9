"""The table of what can be compiled, written from the registry: docs/support.md.

Run `python -m postgres_ml.lower.support_table docs/support.md` after changing the registry or the docstring
of a parser.
"""

from __future__ import annotations

import inspect
import sys
from collections import defaultdict
from pathlib import Path

from postgres_ml.lower import ESTIMATORS, TRANSFORMERS
from postgres_ml.lower.builder import Parser

INTRODUCTION = """\
# What can be compiled to a function

<!-- Written by `python -m postgres_ml.lower.support_table docs/support.md` from the parsers' docstrings. -->

A fitted pipeline of these classes is lowered to a scoring program, from which the sql and native runtimes
are generated. Everything else, and every option that a parser does not know, is refused with an error that
names the estimator, the attribute and what to do; nothing is approximated. A value that the pipeline itself
refuses (an infinity in scikit-learn, a missing value without an imputer, an unknown category with
`handle_unknown='error'`) gives NULL.
"""


def support_table() -> str:
    """Return the page in Markdown: one section for each family of parsers."""
    parts = [INTRODUCTION]
    for title, registry in (("Estimators", ESTIMATORS), ("Preprocessing", TRANSFORMERS)):
        parts.append(f"## {title}\n")
        families: dict[str, list[str]] = defaultdict(list)
        for name, parser in registry.items():
            families[parser.__module__].append(name)
        parts.extend(_section(module, families[module], registry) for module in sorted(families))
    return "\n".join(parts)


def _section(module: str, names: list[str], registry: dict[str, Parser]) -> str:
    paragraphs = _paragraphs(inspect.getdoc(sys.modules[module]) or "")
    lines = [f"### {paragraphs['']}\n", "| class | what is computed |", "|---|---|"]
    for name in names:
        summary = (inspect.getdoc(registry[name]) or "").split("\n\n")[0].replace("\n", " ")
        lines.append(f"| `{name}` | {summary.removeprefix('Return ').replace('|', chr(92) + '|')} |")
    lines.extend(f"\n{key}: {paragraphs[key]}" for key in ("Exactness", "Refused") if key in paragraphs)
    return "\n".join([*lines, ""])


def _paragraphs(docstring: str) -> dict[str, str]:
    """Return a module docstring's first line under '', and its `Name:` paragraphs under their names."""
    found = {"": docstring.split("\n")[0].rstrip(".")}
    key = None
    for line in docstring.split("\n")[1:]:
        name, colon, rest = line.partition(":")
        if colon and name in ("Source", "Exactness", "Refused"):
            key, found[name] = name, rest.strip()
        elif key and line.strip():
            found[key] += " " + line.strip()
    return found


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(support_table(), encoding="utf-8")
