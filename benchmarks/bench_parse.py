"""Processor time of `dbt parse` with postgres_ml against plain dbt-postgres: the same 200 models, in turn.

The bound is a tenth: whoever has no model to train must not pay for those who have. It is processor time,
because other load on the machine hardly changes that.
"""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

N_MODELS = 200
N_ROUNDS = 9
PROFILE = """
bench:
  target: {name}
  outputs:
    {name}: {{type: {name}, host: localhost, port: 5432, user: u, password: p, dbname: d, schema: s}}
"""


def make_project(root: Path) -> None:
    (root / "models").mkdir(parents=True)
    (root / "dbt_project.yml").write_text("name: bench\nprofile: bench\nversion: '1.0'\nconfig-version: 2\n")
    for number in range(N_MODELS):
        body = "select 1 as a" if number == 0 else f"select a from {{{{ ref('m{number - 1}') }}}}"
        (root / "models" / f"m{number}.sql").write_text(body)


def parse_seconds(root: Path, name: str) -> float:
    (root / "profiles.yml").write_text(PROFILE.format(name=name))
    shutil.rmtree(root / "target", ignore_errors=True)
    dbt = Path(sys.executable).parent / "dbt"
    command = [str(dbt), "--quiet", "--no-send-anonymous-usage-stats", "parse", "--no-partial-parse"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=root, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    seconds: dict[str, list[float]] = {"postgres": [], "postgres_ml": []}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        make_project(root)
        for name in seconds:
            parse_seconds(root, name)  # warm the disk cache
        for _ in range(N_ROUNDS):
            for name, measured in seconds.items():
                measured.append(parse_seconds(root, name))
    medians = {name: statistics.median(measured) for name, measured in seconds.items()}
    for name, measured in seconds.items():
        print(f"{name:12} min {min(measured):.2f} s  median {medians[name]:.2f} s")
    ratio = medians["postgres_ml"] / medians["postgres"]
    summary = f"postgres_ml / postgres = {ratio:.3f} (medians of {N_ROUNDS}; bound 1.10)"
    print(f"dbt parse, {N_MODELS} models: {summary}")


if __name__ == "__main__":
    main()
