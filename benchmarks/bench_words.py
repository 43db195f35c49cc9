"""Free text: AUTO beside AutoGluon with its n-gram features, and the functions' speed in both runtimes.

    python benchmarks/bench_words.py [--sets a,b] [--budget 60] [--cache FOLDER] [--python PYTHON] [--write]

The texts come with packages: sentences of film reviews, of product reviews and tweets with their sentiment by
twenty readers (the source archive of vaderSentiment 2.5 on PyPI), Debian's descriptions of its packages
(`apt-cache`), and the quotations of Debian's package `fortunes`. They are fetched into the cache by pip and
apt; what can't be fetched is left out. PYTHON has AutoGluon 1.6 with LightGBM, XGBoost and CatBoost. Each
system runs in a process of its own (auto_worker.py), on the same rows.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg2
import results
from postgres_ml import embedded
from postgres_ml.components.estimators import LabelEncodedClassifier
from postgres_ml.components.text import TextVectorizer
from postgres_ml.generate import create_statement, generate_native, generate_sql
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.program import Input
from postgres_ml.publish import native_extension
from psycopg2.extras import execute_values
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from xgboost import XGBClassifier

HERE = Path(__file__).parent
WORKER = HERE / "auto_worker.py"
BINARY, MULTI, NUMBER = "binary_classification", "multiclass_classification", "regression"
SYSTEMS = {"auto": "auto", "auto_sql": "auto, runtime sql", "autogluon": "AutoGluon medium"}
MOST_ROWS = 12_000
N_CLASSES = 8


def fetched(cache: Path, name: str, *command: str) -> Path:
    """Return a downloaded file of the cache whose name begins so."""
    cache.mkdir(parents=True, exist_ok=True)
    if not list(cache.glob(f"{name}*")):
        subprocess.run(command, cwd=cache, check=True, capture_output=True)
    return next(cache.glob(f"{name}*"))


def rated(cache: Path, kind: str) -> pd.DataFrame:
    """Return the sentences of one kind with their mean rating, -4 to 4."""
    pip = (sys.executable, "-m", "pip", "download", "--no-deps", "-q", "--no-binary", ":all:")
    archive = fetched(cache, "vaderSentiment-2.5", *pip, "vaderSentiment==2.5")
    inner = "vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz"
    with tarfile.open(archive) as outer:
        content = outer.extractfile(inner).read()
    with tarfile.open(fileobj=io.BytesIO(content)) as files:
        text = files.extractfile(f"hutto_ICWSM_2014/{kind}_GroundTruth.txt").read().decode("utf-8", "replace")
    rows = [line.split("\t", 2) for line in text.splitlines() if line.count("\t") >= 2]
    return pd.DataFrame({"text": [row[2] for row in rows], "target": [float(row[1]) for row in rows]})


def films(cache: Path) -> pd.DataFrame:
    """Return sentences of film reviews, and whether they are favourable."""
    frame = rated(cache, "movieReviewSnippets")
    return frame.assign(target=np.where(frame["target"] > 0, "yes", "no"))


def packages(cache: Path) -> pd.DataFrame:
    """Return Debian's descriptions and sizes of packages, and their section."""
    text = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    found = []
    for paragraph in text.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Description|Section|Installed-Size): (.*)$", paragraph, re.M))
        if len(fields) == 4:
            found.append((fields["Description"], float(fields["Installed-Size"]), fields["Section"]))
    frame = pd.DataFrame(found, columns=["text", "size_kb", "target"]).drop_duplicates("text")
    return of_frequent_classes(frame)


def fortunes(cache: Path) -> pd.DataFrame:
    """Return quotations and their collection."""
    package = fetched(cache, "fortunes_", "apt-get", "download", "-q", "fortunes")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "-x", str(package), folder], check=True)
        files = sorted(Path(folder).rglob("usr/share/games/fortunes/*"))
        found = [
            (quotation.strip(), file.name)
            for file in files
            if not file.suffix
            for quotation in file.read_text(encoding="utf-8", errors="replace").split("\n%\n")
        ]
    frame = pd.DataFrame(found, columns=["text", "target"])
    return of_frequent_classes(frame[frame["text"].str.len() > 0])


def of_frequent_classes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the most frequent classes, some of them where there are many."""
    kept = frame["target"].value_counts().index[:N_CLASSES]
    frame = frame[frame["target"].isin(kept)].reset_index(drop=True)
    return frame.sample(min(len(frame), MOST_ROWS), random_state=0).sort_index()


SETS: dict[str, tuple[str, Callable[[Path], pd.DataFrame]]] = {
    "films": (BINARY, films),
    "products": (NUMBER, lambda cache: rated(cache, "amazonReviewSnippets")),
    "tweets": (NUMBER, lambda cache: rated(cache, "tweets")),
    "packages": (MULTI, packages),
    "fortunes": (MULTI, fortunes),
}


def prepare(frame: pd.DataFrame, task: str, folder: Path) -> tuple[int, int]:
    """Write training and test rows; return how many there are."""
    frame = frame.reset_index(drop=True)
    is_test = np.array([hashlib.sha256(str(n).encode()).digest()[0] >= 192 for n in frame.index])
    frame[~is_test].reset_index(drop=True).to_parquet(folder / "train.parquet")
    frame[is_test].reset_index(drop=True).to_parquet(folder / "test.parquet")
    (folder / "task.json").write_text(json.dumps({"target": "target", "task": task}))
    return int((~is_test).sum()), int(is_test.sum())


def run(system: str, folder: Path, python: str, budget: float) -> dict[str, Any]:
    """Return what the worker says of a system."""
    command = [python, str(WORKER), system, str(folder), str(budget)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(f"{system}: {answer.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def speeds(cache: Path) -> str:
    """Return rows a second of both runtimes and of the pipelines themselves, on the sentences about films."""
    frame = films(cache)
    texts, labels = frame[["text"]], frame["target"].to_numpy(object)
    words = TextVectorizer(2000), TextVectorizer(300, sparse_output=False)
    models = {
        "linear, 2,000 terms": make_pipeline(words[0], LogisticRegression(C=3, max_iter=300)),
        "xgboost, 100 trees of depth 6, 300 terms": make_pipeline(
            words[1], LabelEncodedClassifier(XGBClassifier(n_jobs=1))
        ),
    }
    lines = ["| model | pipeline in memory | native | sql |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        address = embedded.ensure(folder)
        connection = psycopg2.connect(
            host=address.host, port=address.port, user=address.user, dbname=address.dbname
        )
        with connection, connection.cursor() as cursor:
            native_extension.provide(cursor, Path(folder))
            cursor.execute("create table t (id int, words text)")
            execute_values(cursor, "insert into t values %s", list(enumerate(texts["text"])))
            for name, model in models.items():
                model.fit(texts.set_axis(["words"], axis=1), labels)
                cells = [f"{per_second(model, texts):,.0f}"]
                cells += [
                    f"{timed(cursor, model, runtime):,.0f}" for runtime in (generate_native, generate_sql)
                ]
                lines.append(f"| {name} | {' | '.join(cells)} |")
        connection.close()
        embedded.stop(folder)
    return "\n".join(lines)


def per_second(model: Any, texts: pd.DataFrame) -> float:
    """Return rows a second of CPU time of the pipeline itself."""
    started = time.process_time()
    model.predict(texts.set_axis(["words"], axis=1))
    return len(texts) / (time.process_time() - started)


def timed(cursor: Any, model: Any, generate: Any) -> float:
    """Return rows a second of the function, the best of five, once it predicts what the pipeline predicts."""
    program = parse_pipeline(model, (Input("words", "text", "text"),), "text")
    for body in generate(program, "public", "f").functions:
        cursor.execute(create_statement(body, "public"))
    cursor.execute("select words, f(words) from t order by id limit 500")
    rows = cursor.fetchall()
    given = pd.DataFrame({"words": [row[0] for row in rows]})
    if [row[1] for row in rows] != model.predict(given).tolist():
        raise RuntimeError("the function and the pipeline differ")
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        cursor.execute("select count(f(words)) from t")
        best = min(best, time.perf_counter() - started)
    cursor.execute("select count(*) from t")
    return float(cursor.fetchone()[0]) / best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(SETS))
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--cache", type=Path, default=HERE.parent / "build" / "bench-words")
    parser.add_argument("--python", default=sys.executable, help="of an environment with AutoGluon")
    parser.add_argument("--no-speed", action="store_true", help="leave the functions' speed out")
    parser.add_argument("--write", action="store_true", help="update RESULTS.md")
    options = parser.parse_args()
    lines = [
        "| set | rows, test rows | measure | " + " | ".join(SYSTEMS.values()) + " | auto / AutoGluon |",
        "|---|---|---|" + "---|" * (len(SYSTEMS) + 1),
    ]
    for name in options.sets:
        task, load = SETS[name]
        with tempfile.TemporaryDirectory() as folder:
            n_rows, n_test = prepare(load(options.cache), task, Path(folder))
            found = {}
            for system in SYSTEMS:
                python = options.python if system == "autogluon" else sys.executable
                found[system] = run(system, Path(folder), python, options.budget)
                print(name, system, found[system], flush=True)
        for measure in (
            ("rmse",) if task == NUMBER else ("log_loss", "auc") if task == BINARY else ("log_loss",)
        ):
            key = "auc" if measure == "auc" else "score"
            scores = [found[system][key] for system in SYSTEMS]
            cells = " | ".join(f"{score:.4f}" for score in scores)
            lines.append(
                f"| {name} | {n_rows:,}, {n_test:,} | {measure} | {cells} | {scores[0] / scores[-1]:.3f} |"
            )
    table = "\n".join(lines)
    if not options.no_speed:
        table += "\n\nRows a second on one core, of the sentences about films (some 18 words each); of the\n"
        table += f"pipeline all rows in one call.\n\n{speeds(options.cache)}"
    print(table)
    if options.write:
        note = f"{time.strftime('%Y-%m-%d')}; {results.processor()}; {options.budget:g} s a fit, two threads."
        if os.getloadavg()[0] > 3:
            note += " The machine was busy with other work, so that no system had both cores for itself."
        results.write_section("bench-words", f"## Free text: `make bench-words`\n\n{note}\n\n{table}")


if __name__ == "__main__":
    main()
