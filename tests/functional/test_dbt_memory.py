"""dbt's own process stays small, however many rows it trains on: they pass through it, or not even that."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from dbt.tests.util import run_dbt

MB = 1_000_000
MOST = 200 * MB
ROWS = """
{{{{ config(materialized='table') }}}}
select i % 7 = 3 as label, {numbers} from generate_series(1, {n}) as i
"""
MODEL = """
{{{{ config(materialized='create_model', target='label', auto=false, model_type='xgboost',
    hyperparameters={{'num_round': 5}}, settings={{'compute': '{compute}', 'max_cells': 100000000}}) }}}}
select * from {{{{ ref('{rows}') }}}}
"""
NUMBERS = ", ".join(f"hashint4(i * 31 + {k}) / 2147483648.0::float8 as x{k}" for k in range(5))
MEASURE = """
import json, os, sys
from dbt.cli.main import dbtRunner
from postgres_ml.process.memory import peak_bytes
found = dbtRunner().invoke(sys.argv[1:])
print(json.dumps({"peak": peak_bytes(os.getpid()), "success": found.success}))
"""


@pytest.mark.exhaustive
class TestMemoryOfDbt:
    @pytest.fixture(scope="class")
    def models(self):
        made = {f"rows_{n}.sql": ROWS.format(n=n, numbers=NUMBERS) for n in (1_000, 1_000_000)}
        trained = {
            f"{compute}_{n}.sql": MODEL.format(compute=compute, rows=f"rows_{n}")
            for n in (1_000, 1_000_000)
            for compute in ("local", "dask")
        }
        return {**made, **trained}

    @pytest.fixture(scope="class")
    def tables(self, project):
        run_dbt(["run", "--select", "rows_1000", "rows_1000000"])

    @pytest.mark.parametrize("compute", ["local", "dask"])
    def test_a_million_rows_take_no_more_than_a_thousand(self, project, tables, compute):
        few, many = (self.peak(project, f"{compute}_{n}") for n in (1_000, 1_000_000))
        assert many < MOST and many < few + 20 * MB, f"{few / MB:.0f} and {many / MB:.0f} MB"

    def peak(self, project, model):
        """Return the most that a dbt run had in memory, in bytes; its training is another process."""
        command = [sys.executable, "-c", MEASURE, "--quiet", "run", "--select", model]
        options = ["--project-dir", str(project.project_root), "--profiles-dir", str(project.profiles_dir)]
        run = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        found = json.loads(run.stdout.splitlines()[-1])
        assert found["success"], run.stdout + run.stderr
        return found["peak"]
