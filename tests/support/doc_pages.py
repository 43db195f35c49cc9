"""Snippets and commands of the documentation's pages, taken as they stand, to be built and run."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def read_page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language in a page or a part of it, in order."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run_shell(command: str, folder: Path, environment: Mapping[str, str]) -> None:
    """Run a command as a reader's shell does, and expect success."""
    done = subprocess.run(
        ["sh", "-e", "-c", command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
