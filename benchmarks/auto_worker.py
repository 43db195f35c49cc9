"""One system on one data set, in a process of its own: fits, predicts the test rows, prints one line of JSON.

    python benchmarks/auto_worker.py SYSTEM FOLDER BUDGET_S [SEED]

FOLDER is what bench_auto.py made: train.parquet, test.parquet, task.json. Imports nothing of this package but
for the system `auto`, so that it also runs in the environment of the systems that are compared.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

N_THREADS = 2
warnings.filterwarnings("ignore")


def main() -> None:
    system, folder, budget = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    task = json.loads((folder / "task.json").read_text())
    train, test = (pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "test"))
    target = task["target"]
    features = [name for name in train if name != target]
    started, cpu = time.monotonic(), time.process_time()
    labels = sorted(train[target].unique().tolist())
    fit = functools.partial(SYSTEMS[system], seed=seed) if system in SEEDED else SYSTEMS[system]
    predicted, about = fit(train, test[features], target, task["task"], budget)
    seconds = time.monotonic() - started
    truth = test[target].to_numpy()
    if task["task"] == "regression":
        score = float(np.sqrt(np.mean(np.square(np.asarray(predicted, dtype=float) - truth))))
    else:
        codes = np.searchsorted(np.array(labels, dtype=object), truth.astype(object))
        given = np.asarray(predicted, dtype=float)[np.arange(len(codes)), codes]
        score = float(-np.mean(np.log(np.maximum(given, 1e-15))))
        if len(labels) == 2:
            about["auc"] = _auc(codes, np.asarray(predicted, dtype=float)[:, 1])
    cpu = time.process_time() - cpu
    if "program" in about:  # its function is timed when the clocks of the training are read
        from sql_speed import measure

        about |= measure(about.pop("program"), test[features])
    print(json.dumps({"score": score, "seconds": seconds, "cpu_seconds": cpu, **about}))


def _auc(codes: Any, predicted: Any) -> float:
    """Return the share of pairs of rows that are in the right order."""
    ranks = pd.Series(predicted).rank().to_numpy()
    n_one = int(codes.sum())
    return float((ranks[codes == 1].sum() - n_one * (n_one + 1) / 2) / (n_one * (len(codes) - n_one)))


def auto(train: pd.DataFrame, test: pd.DataFrame, target: str, task: str, budget: float, seed: int) -> Any:
    """Ours as it is shipped: 20 % held out for scores, search on the rest, refit on all rows."""
    return _ours(train, test, target, task, budget, runtime="native", seed=seed)


def auto_sql(
    train: pd.DataFrame, test: pd.DataFrame, target: str, task: str, budget: float, seed: int
) -> Any:
    """Ours where the function will be SQL: smaller models, and how many rows a second it computes."""
    return _ours(train, test, target, task, budget, runtime="sql", seed=seed)


def auto_sql_0(
    train: pd.DataFrame, test: pd.DataFrame, target: str, task: str, budget: float, seed: int
) -> Any:
    """The same, and nothing is given up for a faster function."""
    return _ours(train, test, target, task, budget, runtime="sql", seed=seed, sql_tolerance=0.0)


def _ours(
    train: pd.DataFrame,
    test: pd.DataFrame,
    target: str,
    task: str,
    budget: float,
    runtime: str,
    **settings: Any,
) -> Any:
    from postgres_ml import preparation
    from postgres_ml.contract.column import Column
    from postgres_ml.contract.config import Settings, TrainingSpec
    from postgres_ml.contract.job import TrainingJob
    from postgres_ml.fit.in_time import fit_to_evaluate, refit
    from postgres_ml.fit.task import Deadline
    from postgres_ml.lower import parse_pipeline
    from postgres_ml.process.report import Report
    from postgres_ml.publish.deployment import inputs_of
    from postgres_ml.search import search
    from postgres_ml.snapshot.rows import TrainingRows

    frame = pd.DataFrame({name: _as_trained(train[name]) for name in train if name != target})
    columns = tuple(
        Column(
            str(name), *(("text", "text") if frame[name].dtype == object else ("double precision", "number"))
        )
        for name in frame
    )
    is_text = task != "regression"
    labels = train[target].to_numpy(object if is_text else float)
    kind = ("text", "text") if is_text else ("double precision", "number")
    spec = TrainingSpec(
        name="m", unique_id="model.bench.m", database="d", schema="s", function="f", target=target,
        problem_type=task, settings=Settings(max_runtime=budget, min_rows=10, **settings), runtime=runtime,
    )  # fmt: skip
    job = TrainingJob(spec, columns, Column(target, *kind), "", "", "", {}, "", N_THREADS)
    keys = np.sort(np.random.default_rng(0).integers(0, 2**63, len(frame), dtype=np.uint64) * 2)
    order = np.random.default_rng(1).permutation(len(frame))
    rows = TrainingRows(frame.iloc[order].reset_index(drop=True), labels[order], keys, "")
    deadline = Deadline(budget)
    report = Report(lambda level, text, fields=None: None)
    found = preparation.prepare(job, rows, deadline, report)
    prepared, rows, training = found.task, found.rows, found.training
    choice = search(prepared, training, report.progress)
    with report.phase("evaluate"):
        choice, evaluated = fit_to_evaluate(prepared, choice, training, report)
    fitted = refit(prepared, choice, rows, report) or evaluated
    seconds = budget - deadline.left
    given = pd.DataFrame({name: _as_trained(test[name]) for name in test})
    predicted = fitted.predict(given) if task == "regression" else fitted.predict_proba(given)
    program = parse_pipeline(fitted, inputs_of(job.features), "text" if is_text else "double precision")
    about = {
        "n_nodes": program.n_nodes, "chosen": choice.candidate.name, "trials": len(choice.trials),
        "training_seconds": seconds, "reason": choice.reason,
    }  # fmt: skip
    if runtime == "sql":
        about["program"] = program
    return predicted, about


def _as_trained(column: pd.Series) -> pd.Series:
    """Return numbers as float64, texts as objects with None."""
    if pd.api.types.is_numeric_dtype(column) or column.dtype == bool:
        return column.astype(float)
    return pd.Series([None if pd.isna(v) else str(v) for v in column], dtype=object, index=column.index)


def flaml(train: pd.DataFrame, test: pd.DataFrame, target: str, task: str, budget: float, seed: int) -> Any:
    from flaml import AutoML

    automl = AutoML()
    settings = {
        "time_budget": budget, "n_jobs": N_THREADS, "seed": seed, "verbose": 0,
        "task": "regression" if task == "regression" else "classification",
        "metric": "rmse" if task == "regression" else "log_loss",
    }  # fmt: skip
    automl.fit(train.drop(columns=target), train[target], **settings)
    about = {"chosen": str(automl.best_estimator), "version": importlib.metadata.version("flaml")}
    return (automl.predict(test) if task == "regression" else automl.predict_proba(test)), about


def autogluon(train: pd.DataFrame, test: pd.DataFrame, target: str, task: str, budget: float) -> Any:
    """AutoGluon, which fits its list of models once and weighs them."""
    return _autogluon(train, test, target, task, budget, "medium_quality")


def autogluon_best(train: pd.DataFrame, test: pd.DataFrame, target: str, task: str, budget: float) -> Any:
    """AutoGluon with bags and stacks of its models, which it is to have ten minutes for."""
    return _autogluon(train, test, target, task, budget, "best_quality")


def _autogluon(
    train: pd.DataFrame, test: pd.DataFrame, target: str, task: str, budget: float, presets: str
) -> Any:
    from autogluon.tabular import TabularPredictor

    kind = {"binary_classification": "binary", "multiclass_classification": "multiclass"}.get(task, task)
    metric = "root_mean_squared_error" if task == "regression" else "log_loss"
    with tempfile.TemporaryDirectory() as folder:
        predictor = TabularPredictor(target, kind, metric, path=folder, verbosity=0)
        predictor.fit(train, time_limit=budget, presets=presets, num_cpus=N_THREADS)
        version = importlib.metadata.version("autogluon.tabular")
        about = {"chosen": predictor.model_best, "version": version}
        if task == "regression":
            return predictor.predict(test).to_numpy(), about
        found = predictor.predict_proba(test)
        return found[sorted(found.columns)].to_numpy(), about


def xgboost_default(train: pd.DataFrame, test: pd.DataFrame, target: str, task: str, budget: float) -> Any:
    import xgboost

    x, given = _categories(train.drop(columns=target), test)
    if task == "regression":
        model = xgboost.XGBRegressor(enable_categorical=True, n_jobs=N_THREADS).fit(x, train[target])
        return model.predict(given), _size(model)
    codes = np.unique(train[target].to_numpy(), return_inverse=True)[1]
    model = xgboost.XGBClassifier(enable_categorical=True, n_jobs=N_THREADS).fit(x, codes)
    return model.predict_proba(given), _size(model)


def _size(model: Any) -> dict[str, int]:
    return {"n_nodes": sum(tree.count("\n") for tree in model.get_booster().get_dump())}


def hist_default(train: pd.DataFrame, test: pd.DataFrame, target: str, task: str, budget: float) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    x, given = _categories(train.drop(columns=target), test, most=254)
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    model = kind(categorical_features="from_dtype", random_state=0).fit(x, train[target])
    return (model.predict(given) if task == "regression" else model.predict_proba(given)), {}


def linear(train: pd.DataFrame, test: pd.DataFrame, target: str, task: str, budget: float) -> Any:
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=64),
            make_column_selector(dtype_exclude="number"),
        ),
    )
    model = make_pipeline(columns, RidgeCV() if task == "regression" else LogisticRegression(max_iter=1000))
    model.fit(train.drop(columns=target), train[target])
    return (model.predict(test) if task == "regression" else model.predict_proba(test)), {}


def _categories(
    train: pd.DataFrame, test: pd.DataFrame, most: int = 10**6
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the frames with text as categories of the training rows, rare ones missing."""
    train, test = train.copy(), test.copy()
    for name in train:
        if not pd.api.types.is_numeric_dtype(train[name]):
            kept = train[name].value_counts().index[:most]
            kind = pd.CategoricalDtype(sorted(map(str, kept)))
            train[name], test[name] = (frame[name].astype("str").astype(kind) for frame in (train, test))
    return train, test


SYSTEMS = {
    "auto": auto,
    "auto_sql": auto_sql,
    "auto_sql_0": auto_sql_0,
    "flaml": flaml,
    "autogluon": autogluon,
    "autogluon_best": autogluon_best,
    "xgboost_default": xgboost_default,
    "hist_default": hist_default,
    "linear": linear,
}
SEEDED = ("auto", "auto_sql", "auto_sql_0", "flaml")
"""What takes a seed: the others draw nothing, or always the same."""

if __name__ == "__main__":
    main()
