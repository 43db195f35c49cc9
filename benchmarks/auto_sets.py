"""The data sets of bench_auto.py: where they come from, and which of their rows are predicted.

Test rows are those whose number's sha256 begins with a byte of 192 or more; with another seed than 0 it is
the sha256 of seed and number.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

SEEDS = Path(__file__).parent.parent / "models_examples" / "seeds"
BINARY, MULTI, NUMBER = "binary_classification", "multiclass_classification", "regression"
FIRST_TEST_BYTE = 192


@dataclass(frozen=True)
class Set:
    """A data set.

    Parameters
    ----------
    source : 'data' for a file of --data, 'seed' for an example's seed, else a loader of scikit-learn
    tuned_on : whether the portfolio was put together while looking at its test rows
    drop : columns that identify a row
    rows : greatest number of rows, chosen by hash
    """

    name: str
    target: str
    task: str
    source: str = "data"
    tuned_on: bool = False
    drop: tuple[str, ...] = ()
    rows: int = 60_000


SETS = (
    Set("churn_mlc", "churn", BINARY, tuned_on=True),
    Set("churn_ibm_telco", "churn", BINARY, tuned_on=True),
    Set("credit_default_es", "status", BINARY, tuned_on=True),
    Set("pima_diabetes", "diabetes", BINARY, tuned_on=True),
    Set("hpc_jobs", "class", MULTI, tuned_on=True),
    Set("diamonds", "price", NUMBER, tuned_on=True, rows=20_000),
    Set("ames_housing", "sale_price", NUMBER, tuned_on=True),
    Set("concrete", "compressive_strength", NUMBER, tuned_on=True),
    Set("wages_gss", "realrinc", NUMBER, tuned_on=True, rows=20_000),
    Set("bank_marketing", "y", BINARY),
    Set("chicago_taxi_tips", "tip", BINARY),
    Set("titanic", "survived", BINARY, drop=("name",)),
    Set("breast_cancer_wdbc", "benign", BINARY),
    Set("penguins", "species", MULTI),
    Set("wine_cultivars", "cultivar", MULTI),
    Set("abalone", "rings", NUMBER),
    Set("insurance_charges", "charges", NUMBER),
    Set("elec_demand_half_hourly", "demand", NUMBER, drop=("ts",)),
    Set("nyc_flights", "arr_delay", NUMBER, drop=("time_hour", "arr_time", "dep_delay"), rows=60_000),
    Set("telco_customers", "churn", BINARY, "seed", tuned_on=True, drop=("customer_id",)),
    Set("diamonds_seed", "price", NUMBER, "seed", tuned_on=True, drop=("diamond_id",), rows=20_000),
    Set("sklearn_breast_cancer", "target", BINARY, "load_breast_cancer"),
    Set("sklearn_wine", "target", MULTI, "load_wine"),
    Set("sklearn_digits", "target", MULTI, "load_digits"),
    Set("sklearn_diabetes", "target", NUMBER, "load_diabetes"),
)


def prepare(item: Set, data: Path | None, folder: Path, seed: int = 0) -> None:
    """Write the set's training and test rows into the folder."""
    frame = load(item, data)
    frame = frame[frame[item.target].notna()].drop(columns=list(item.drop))
    if len(frame) > item.rows:
        ranked = sorted(frame.index, key=lambda number: _digest(f"sub:{number}"))
        frame = frame.loc[sorted(ranked[: item.rows])]
    if item.task == NUMBER:
        frame[item.target] = frame[item.target].astype(float)
    else:
        frame[item.target] = frame[item.target].astype(str).astype(object)
    mask = np.array([is_test(number, seed) for number in frame.index])
    frame[~mask].reset_index(drop=True).to_parquet(folder / "train.parquet")
    frame[mask].reset_index(drop=True).to_parquet(folder / "test.parquet")
    (folder / "task.json").write_text(json.dumps({"target": item.target, "task": item.task}))


def is_test(number: int, seed: int) -> bool:
    """Return whether the row of this number is predicted, with this seed."""
    return _digest(f"{seed}:{number}" if seed else str(number))[0] >= FIRST_TEST_BYTE


def load(item: Set, data: Path | None) -> pd.DataFrame:
    """Return the set's rows as its file has them, or scikit-learn.

    Parameters
    ----------
    data : the folder of --data; None where the set needs none
    """
    options: dict[str, Any] = {"keep_default_na": False, "na_values": [""], "low_memory": False}
    if item.source == "data":
        assert data is not None, f"{item.name} is a file of --data"
        return pd.read_csv(data / f"{item.name}.csv.gz", **options)
    if item.source == "seed":
        return pd.read_csv(SEEDS / f"{item.name.removesuffix('_seed')}.csv", **options)
    return getattr(datasets, item.source)(as_frame=True).frame


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
