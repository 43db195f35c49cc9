"""The file that all benchmarks write their tables to, each a section of its own."""

from __future__ import annotations

import platform
from datetime import date
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")


def write_section(name: str, body: str) -> None:
    """Replace the section between `<!-- name -->` and `<!-- /name -->`; add it where it is missing."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Benchmarks\n"
    if start not in text:
        text = f"{text.rstrip()}\n\n{start}\n{end}\n"
    before, _, rest = text.partition(start)
    after = rest.partition(end)[2]
    RESULTS.write_text(f"{before}{start}\n{body.strip()}\n{end}{after}", encoding="utf-8")


def circumstances(version: str) -> str:
    """Return the day, the processor and the versions that figures depend on."""
    python = f"Python {platform.python_version()}"
    return f"{date.today().isoformat()}; {processor()}, {platform.system()}, {python}, PostgreSQL {version}"


def processor() -> str:
    """Return the processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
