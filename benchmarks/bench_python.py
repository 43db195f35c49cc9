"""Runtime python on Debian's server: rows a second one by one and in batches, first call, memory.

Speeds are rows by seconds of processor time of the backend, so that other work on the machine counts little.
`--write` puts the table between its own marks in RESULTS.md.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg2
import results
import xgboost
from postgres_ml.components.estimators import LabelEncodedClassifier
from postgres_ml.contract.column import Column
from postgres_ml.generate import create_statement, generate_python
from postgres_ml.serve.artifact import pack
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from support import debian_server  # noqa: E402

N_ROWS = 200_000
N_SINGLE = 2_000
CHUNK = 10_000
NUMBERS = [f"f{i}" for i in range(10)]
TEXTS = {"t0": 4, "t1": 12, "t2": 30}


def drawn(n: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    numbers = {name: random.normal(size=n) for name in NUMBERS}
    texts = {
        name: pd.Series(random.choice([f"c{j}" for j in range(k)], n), dtype=object)
        for name, k in TEXTS.items()
    }
    return pd.DataFrame({**numbers, **texts})


def models() -> dict[str, tuple[Any, list[str]]]:
    """Return unfitted estimators and the columns they read."""
    columns = ColumnTransformer(
        [("n", "passthrough", NUMBERS), ("t", OneHotEncoder(sparse_output=False), list(TEXTS))]
    )
    boosted = LabelEncodedClassifier(xgboost.XGBClassifier(n_estimators=100, max_depth=6, n_jobs=1))
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    encoded = ColumnTransformer(
        [("n", scaled, NUMBERS), ("t", OneHotEncoder(sparse_output=False), list(TEXTS))]
    )
    return {
        "impute, scale, one-hot + GaussianNB": (
            Pipeline([("c", encoded), ("e", GaussianNB())]),
            [*NUMBERS, *TEXTS],
        ),
        "one-hot + xgboost 100x6": (Pipeline([("c", columns), ("e", boosted)]), [*NUMBERS, *TEXTS]),
        "xgboost 100x6": (boosted, NUMBERS),
        "GaussianNB": (GaussianNB(), NUMBERS),
        "LogisticRegression": (LogisticRegression(), NUMBERS),
        "SVC": (SVC(), NUMBERS),
        "RandomForest 100x6": (RandomForestClassifier(100, max_depth=6, random_state=0), NUMBERS),
    }


def measure(connection: Any, name: str, estimator: Any, names: list[str], frame: pd.DataFrame) -> list[str]:
    """Return a row of the table."""
    target = np.where(frame["f0"] + frame["f1"] * frame["f2"] > 0.3, "yes", "no")
    few = frame.head(2_000)
    fitted = estimator.fit(few[names], target[:2_000])
    columns = [
        Column(n, "text" if n in TEXTS else "double precision", "text" if n in TEXTS else "number")
        for n in names
    ]
    artifact = pack(fitted, columns, "text", None, few)
    fitted.set_params(**{key: 1 for key in fitted.get_params() if key.endswith("n_jobs")})
    started = time.process_time()
    fitted.predict(frame[names])
    in_memory = len(frame) / (time.process_time() - started)
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into postgres_ml.artifact values (%s, %s) on conflict do nothing",
            (artifact.sha256, psycopg2.Binary(artifact.content)),
        )
        generated = generate_python(
            columns, "text", "public", "predict_it", sha256=artifact.sha256,
            python_path=debian_server.SITE_PACKAGES, details=None, est_rows_per_s=1,
        )  # fmt: skip
        cursor.execute("drop function if exists predict_it__batch")
        cursor.execute(
            "do $$ declare f regprocedure; begin for f in select oid from pg_proc "
            "where proname = 'predict_it' "
            "loop execute 'drop function ' || f; end loop; end $$"
        )
        for body in generated.functions:
            cursor.execute(create_statement(body, "public"))
        arguments = ", ".join(names)
        cursor.execute("select pg_backend_pid()")
        pid = cursor.fetchone()[0]
        started = time.perf_counter()
        first, _ = timed(cursor, pid, f"select predict_it({arguments}) from rows limit 1")
        waited = time.perf_counter() - started
        memory_of_one = anonymous_mb(pid)
        single, _ = timed(
            cursor, pid, f"select max(predict_it({arguments})) from (select * from rows limit {N_SINGLE}) r"
        )
        numbers = " || ".join(f"float8send(coalesce({n}, 'NaN'))" for n in names if n not in TEXTS)
        texts = "".join(f", array_agg({n})" for n in names if n in TEXTS)
        batch, found = timed(
            cursor,
            pid,
            "select count(*) from (select array_agg(id) ids, "
            f"predict_it__batch(string_agg({numbers}, ''){texts}) p from "
            f"(select *, (row_number() over () - 1) / {CHUNK} chunk "
            "from rows) r group by chunk) b, unnest(ids, p)",
        )
        assert found == [(len(frame),)]
    return [
        name, f"{N_SINGLE / single:,.0f}", f"{len(frame) / batch:,.0f}", f"{in_memory:,.0f}",
        f"{first * 1000:,.0f} ms ({waited * 1000:,.0f} ms waited)",
        f"{memory_of_one:,.0f} MB, {anonymous_mb(pid):,.0f} MB",
    ]  # fmt: skip


def anonymous_mb(pid: int) -> float:
    """Return the backend's own memory: what it shares with no other process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def timed(cursor: Any, pid: int, query: str) -> tuple[float, list[Any]]:
    """Return seconds of processor time of the backend, and the rows."""
    started = processor_time(pid)
    cursor.execute(query)
    rows = cursor.fetchall()
    return processor_time(pid) - started, rows


def processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into RESULTS.md")
    write = parser.parse_args().write
    address, directory = debian_server.start()
    frame = drawn(N_ROWS)
    try:
        rows = []
        for number, (name, (estimator, names)) in enumerate(models().items()):
            connection = psycopg2.connect(
                host=address.host, port=address.port, user=address.user, dbname=address.dbname
            )  # each model in a backend of its own, for first call and memory
            connection.autocommit = True
            if number == 0:
                fill(connection, frame)
            rows.append(measure(connection, name, estimator, names, frame))
            connection.close()
    finally:
        debian_server.stop(directory)
    head = [
        "pipeline",
        "rows/s, one a call",
        "rows/s, predict_table",
        "rows/s in memory (CPU)",
        "first call, CPU",
        "backend after it, and after predict_table",
    ]
    table = "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])
    print(table)
    if write:
        heading = "## Runtime python (`make bench-python`), rows a second"
        results.write_section("bench-python", f"{heading}\n\n{table}")


def fill(connection: Any, frame: pd.DataFrame) -> None:
    defined = ", ".join([*(f"{n} float8" for n in NUMBERS), *(f"{n} text" for n in TEXTS)])
    with connection.cursor() as cursor:
        cursor.execute(
            "create schema postgres_ml; "
            "create table postgres_ml.artifact (sha256 text primary key, content bytea); "
            f"create table rows (id int, {defined})"
        )
        text = io.StringIO()
        frame.to_csv(text, header=False)
        text.seek(0)
        cursor.copy_expert("copy rows from stdin csv", text)
        cursor.execute("analyze rows")


if __name__ == "__main__":
    main()
