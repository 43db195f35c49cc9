"""A training under a cap on its memory, by dbt build: rows are read from disk, and the cap is kept."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture
from postgres_ml.out_of_core.plan import DEFAULT_SHARE
from support.memory_cgroup import memory_cgroup
from support.selecting import selector

N_ROWS, N_COLUMNS = 130_000, 100
MB = 10**6
#: what a training has in memory before it reads a row
LIBRARIES = """
import importlib
from postgres_ml.process.memory import resident_bytes
from postgres_ml.process.forking import TRAINING
for module in TRAINING:
    importlib.import_module(module)
print(resident_bytes())
"""
ROWS = f"""
{{{{ config(materialized='table') }}}}
select *, case when x0 + x1 * x2 > 0 then 'yes' else 'no' end as label from (
    select {", ".join(f"hashint4(i * 31 + {k}) / 2147483648.0::float8 as x{k}" for k in range(N_COLUMNS))}
    from generate_series(1, {N_ROWS}) as i
) as made
"""
MODEL = """
{{{{ config(materialized='create_model', target='label', auto=false, model_type='xgboost',
    hyperparameters={{'num_round': 5}}, settings={{'max_cells': 100000000, {0}}}) }}}}
select * from {{{{ ref('wide') }}}}
"""
N_TEXTS, N_WORDS = 10, 60
TEXTS = f"""
{{{{ config(materialized='table') }}}}
select {", ".join(f"'word ' || abs(hashint4(i * 17 + {k})) % {N_WORDS} as t{k}" for k in range(N_TEXTS))},
    abs(hashint4(i * 17)) % {N_WORDS} < 20 or hashint4(i) < 0 as label
from generate_series(1, 40000) as i
"""
LINE = """
{{{{ config(materialized='create_model', target='label', auto=false, model_type='linear_learner',
    hyperparameters={{'max_iter': 5}}, settings={{'max_cells': 100000000, 'max_memory': {0}}}) }}}}
select * from {{{{ ref('texts') }}}}
"""
SEARCH = """
{{{{ config(materialized='create_model', target='label',
    settings={{'max_cells': 100000000, 'max_runtime': 25, 'max_memory': {0}}}) }}}}
select x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14, x15, x16, x17, x18, x19, label
from {{{{ ref('wide') }}}}
"""


def capped(cap: int) -> str:
    return MODEL.format(f"'max_memory': {cap}")


@pytest.fixture(scope="module")
def libraries() -> int:
    """Bytes that the first training of a dbt process has in memory; later ones have MLflow as well."""
    done = subprocess.run([sys.executable, "-c", LIBRARIES], check=True, capture_output=True, text=True)
    return int(done.stdout)


class TestMaxMemory:
    @pytest.fixture(scope="class")
    def models(self, libraries):
        return {
            "wide.sql": ROWS,
            "whole.sql": MODEL.format("'seed': 0"),
            "capped.sql": capped(libraries + 310 * MB),
            "too_small.sql": capped(libraries + 100 * MB),
            "texts.sql": TEXTS,
            "searched.sql": SEARCH.format(libraries + 350 * MB),
            "line.sql": LINE.format(libraries + 370 * MB),
        }

    def test_the_cap_is_kept_and_the_model_is_the_same(self, project, connection, libraries):
        results, text = run_dbt_and_capture(["build", "--exclude", "too_small", "line", "texts", "searched"])
        assert [str(result.status) for result in results] == ["success"] * 3
        lines = [line for line in text.splitlines() if "capped:" in line]
        said = " ".join(lines)
        assert re.search(
            r"130,000 rows would take \d+ MB of memory, and max_memory is \d+ MB: the training reads 104 MB in \d+ files",
            said,
        )
        (peak,) = re.findall(r"capped: the training took (\d+) MB of memory at most", said)
        assert libraries < int(peak) * MB < libraries + 310 * MB
        select = selector(connection, project.test_schema)
        arguments = ", ".join(f"x{k}" for k in range(N_COLUMNS))
        [(n_other,)] = select(
            f"select count(*) from (select * from wide limit 3000) w where predict_capped({arguments}) "
            f"is distinct from predict_whole({arguments})"
        )
        [scores] = select("select c.score, w.score, c.n_rows from capped c, whole w")
        assert n_other <= 3 and scores[0] == pytest.approx(scores[1], abs=1e-3) and scores[2] == N_ROWS
        assert not list(Path(project.project_root).rglob("*.arrow"))

    def test_columns_that_texts_become_count_as_well(self, project, connection, libraries):
        """The rows are 5 MB in Arrow; as dense one-hot columns, and copied, they are 390."""
        results, text = run_dbt_and_capture(["build", "--select", "texts", "line"])
        assert [str(result.status) for result in results] == ["success"] * 2
        assert re.search(r"line: 40,000 rows would take \d+ MB of memory, and max_memory is \d+ MB", text)
        (peak,) = re.findall(r"line: the training took (\d+) MB of memory at most", text)
        assert int(peak) * MB < libraries + 370 * MB
        select = selector(connection, project.test_schema)
        assert select("select n_rows from line") == [(40_000,)]

    def test_a_search_stays_within_its_cap(self, project, libraries):
        """The rows would fit: 21 MB in Arrow. Matrices of all encodings, and of fits side by side, don't."""
        run_dbt(["run", "--select", "wide"])
        results, text = run_dbt_and_capture(["build", "--select", "searched"])
        assert [str(result.status) for result in results] == ["success"]
        assert re.search(
            r"searched: 130,000 rows would take [\d.]+ [MG]B of memory, and max_memory is \d+ MB", text
        )
        (peak,) = re.findall(r"searched: the training took (\d+) MB of memory at most", text)
        assert int(peak) * MB < libraries + 350 * MB

    def test_a_cap_that_nothing_fits_into_is_an_error_with_its_cure(self, project):
        run_dbt(["run", "--select", "wide"])
        results, _ = run_dbt_and_capture(["run", "--select", "too_small"], expect_pass=False)
        assert "raise settings: max_memory" in results[0].message
        assert not [
            path for path in Path(project.project_root).rglob("*") if path.name in ("rows", "snapshot.bin")
        ]


class TestCgroup:
    """Without `max_memory` a training takes 60 % of its cgroup's memory, which is not the machine's."""

    @pytest.fixture(scope="class")
    def models(self):
        return {"wide.sql": ROWS, "contained.sql": MODEL.format("'seed': 0")}

    def test_a_training_stays_within_its_share_of_the_cgroup(self, project, libraries):
        run_dbt(["run", "--select", "wide"])
        limit = int((libraries + 330 * MB) / DEFAULT_SHARE)
        with memory_cgroup(limit) as cgroup:
            command = [sys.executable, "-m", "dbt.cli.main", "build", "--select", "contained"]
            options = [
                "--project-dir",
                str(project.project_root),
                "--profiles-dir",
                str(project.profiles_dir),
            ]
            run = subprocess.run(
                [*command, *options], capture_output=True, text=True, check=False, preexec_fn=cgroup.enter
            )
            assert cgroup.n_killed() == 0 and run.returncode == 0, run.stdout + run.stderr
        said = re.search(r"would take (\d+) MB of memory, and max_memory is (\d+) MB", run.stdout)
        assert said is not None and int(said[2]) < int(said[1]) < 1.2 * int(said[2])
        assert int(said[2]) == pytest.approx(DEFAULT_SHARE * limit / MB, abs=2)
        (peak,) = re.findall(r"the training took (\d+) MB of memory at most", run.stdout)
        assert int(peak) < int(said[2])
