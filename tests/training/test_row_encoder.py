"""Answers without a data frame: equal to the pipeline's own for every row, or not given at all."""

from __future__ import annotations

import io
import json
import math
import warnings
import zipfile
from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.components.anomaly import AnomalyDetector
from postgres_ml.components.estimators import LabelEncodedClassifier
from postgres_ml.components.transformers import DateTimeVectorizer, RobustSmoothClip
from postgres_ml.contract.column import Column
from postgres_ml.evaluate.anomalies import predict_is_anomaly
from postgres_ml.serve import fast_estimators, row_encoder, unpack
from postgres_ml.serve.artifact import pack
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.svm import SVC
from support.quantile_bins import quantile_bins
from xgboost import XGBClassifier, XGBRegressor

COLUMNS = (
    Column("spend", "double precision", "number"),
    Column("calls", "integer", "number"),
    Column("is_vip", "boolean", "boolean"),
    Column("region", "text", "text"),
    Column("code", "character", "text"),
)
DATES = (
    Column("spend", "double precision", "number"),
    Column("day", "date", "date"),
    Column("at", "timestamp with time zone", "timestamptz"),
    Column("clock", "time without time zone", "time"),
)

N_ROWS = 150


def drawn() -> pd.DataFrame:
    random = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "spend": random.normal(size=N_ROWS),
            "calls": random.integers(0, 9, N_ROWS).astype(float),
            "is_vip": random.integers(0, 2, N_ROWS).astype(float),
            "region": pd.Series(random.choice(["n", "s", "it's"], N_ROWS), dtype=object),
            "code": pd.Series(random.choice(["a", "bb"], N_ROWS), dtype=object),
        }
    )
    frame.loc[::9, "spend"] = np.nan
    frame.loc[::11, "region"] = None
    return frame


def encoders(numbers: Any, *, sparse: bool = False, unknown: str = "ignore") -> ColumnTransformer:
    texts = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="none", missing_values=None),
        OneHotEncoder(handle_unknown=unknown, sparse_output=sparse),
    )
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(add_indicator=True), numbers), ["spend", "calls"]),
            ("flags", "passthrough", ["is_vip"]),
            ("texts", texts, ["region"]),
            ("codes", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["code"]),
        ],
        sparse_threshold=1.0 if sparse else 0.0,
    )


LABELS = np.where(np.arange(N_ROWS) % 3 > 0, "yes", "no")
THREE = np.array(["a", "b", "c"])[np.arange(N_ROWS) % 3]
ENCODED = {
    "naive Bayes": (encoders(StandardScaler()), GaussianNB()),
    "our classifier around xgboost": (
        encoders(MinMaxScaler(clip=True)),
        LabelEncodedClassifier(XGBClassifier(n_estimators=5)),
    ),
    "a threshold": (
        encoders(StandardScaler()),
        LabelEncodedClassifier(XGBClassifier(n_estimators=5), threshold=0.7),
    ),
    "sparse": (encoders(StandardScaler(), sparse=True), SVC()),
    "xgboost on a sparse matrix": (
        encoders(StandardScaler(), sparse=True),
        LabelEncodedClassifier(XGBClassifier(n_estimators=5)),
    ),
    "unseen text is refused": (encoders(StandardScaler(), unknown="error"), GaussianNB()),
    "three classes": (encoders(StandardScaler()), LabelEncodedClassifier(XGBClassifier(n_estimators=5))),
    "forest": (encoders(StandardScaler()), RandomForestClassifier(7, random_state=0, n_jobs=2)),
    "bins": (
        encoders(quantile_bins(4, "ordinal")),
        GaussianNB(),
    ),
}


def loaded(pipeline: Any, columns: tuple[Column, ...], labels: Any, frame: pd.DataFrame) -> tuple[Any, Any]:
    artifact = pack(pipeline, columns, "text" if labels else "double precision", labels, frame)
    archive = zipfile.ZipFile(io.BytesIO(artifact.content))
    return unpack.load(archive), json.loads(archive.read("about.json"))


def answers(pipeline: Any, row: list[Any], columns: tuple[Column, ...]) -> tuple[Any, Any]:
    """Return the pipeline's own label and probabilities for one row; None where it refuses."""
    frame = row_encoder.one_row_frame(row, columns)
    try:
        label = pipeline.predict(frame)[0]
        return label, pipeline.predict_proba(frame)[0].tolist() if hasattr(
            pipeline, "predict_proba"
        ) else None
    except ValueError:
        return None, None


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", ENCODED)
def test_rows_are_encoded_without_a_frame(name: str) -> None:
    frame = drawn()
    target = THREE if name == "three classes" else LABELS
    pipeline = Pipeline([("encode", ENCODED[name][0]), ("estimate", ENCODED[name][1])]).fit(frame, target)
    scorer, about = loaded(pipeline, COLUMNS, pipeline.classes_.tolist(), frame)
    assert about["encoded"]
    rows = frame.tail(30).astype(object).to_numpy().tolist()  # pack looked at the first ones
    rows = [[None if cell is None or cell != cell else cell for cell in row] for row in rows]
    rows += [[float("inf"), 1, 0.0, "n", "a"], [1e308, 3, 1.0, "never seen", "bb   "], [None] * 5]
    for row in rows:
        label, probabilities = answers(pipeline, row, COLUMNS)
        assert scorer.predict(row) == label
        if probabilities is None:
            continue
        answer = json.loads(scorer.probabilities(row))
        shown = [None if p != p else p for p in probabilities]
        own = dict(zip(pipeline.classes_, shown, strict=True))
        assert dict(zip(answer["labels"], answer["probabilities"], strict=True)) == own


def test_dates_and_functions_are_encoded() -> None:
    random = np.random.default_rng(6)
    seconds = random.integers(-(10**9), 10**9, N_ROWS).astype("datetime64[s]").astype("datetime64[us]")
    frame = pd.DataFrame({"spend": random.normal(size=N_ROWS), "day": seconds.astype("datetime64[D]")})
    frame["day"] = frame["day"].astype("datetime64[us]")
    frame["at"] = seconds + random.integers(0, 10**6, N_ROWS).astype("timedelta64[us]")
    frame["clock"] = seconds - seconds.astype("datetime64[D]") + np.datetime64(0, "us")
    frame.loc[::7, "at"] = np.datetime64("NaT")
    smooth = make_pipeline(RobustSmoothClip(), FunctionTransformer(np.tanh))
    columns = ColumnTransformer(
        [
            ("spend", smooth, ["spend"]),
            ("days", DateTimeVectorizer(parts=("year", "month", "weekday")), ["day"]),
            ("moments", DateTimeVectorizer(parts=("hour", "epoch"), cyclical=True), ["at", "clock"]),
        ]
    )
    estimator = LabelEncodedClassifier(XGBClassifier(n_estimators=5))
    pipeline = Pipeline([("encode", columns), ("estimate", estimator)]).fit(frame, LABELS)
    scorer, about = loaded(pipeline, DATES, pipeline.classes_.tolist(), frame)
    assert about["encoded"]
    rows: list[list[Any]] = [
        [0.25, "2024-02-29", "2024-02-29 13:45:59.5+00", "13:45:59.5"],
        [-3.5, "0044-03-15 BC", "1969-12-31 23:59:59.999999+00", "24:00:00"],
        [1e200, "infinity", None, "00:00:00"],
        [None, None, "-infinity", None],
    ]
    for row in rows:
        label, probabilities = answers(pipeline, row, DATES)
        answer = json.loads(scorer.probabilities(row))
        own = dict(zip(pipeline.classes_, probabilities, strict=True))
        assert scorer.predict(row) == label
        assert dict(zip(answer["labels"], answer["probabilities"], strict=True)) == own


def test_an_estimator_alone_gets_arrays() -> None:
    frame = drawn()[["calls", "is_vip"]]
    boosted = XGBRegressor(n_estimators=9, missing=3.0, early_stopping_rounds=2, eval_metric="rmse")
    boosted.fit(
        frame, frame["calls"], eval_set=[(frame.head(20), frame["calls"].head(20) % 2)], verbose=False
    )
    assert boosted.best_iteration < 8
    forests = RandomForestRegressor(6, random_state=0), ExtraTreesRegressor(6, random_state=0)
    for estimator in (KNeighborsRegressor(), *forests, XGBRegressor(n_estimators=4), boosted):
        if estimator is not boosted:
            estimator.fit(frame, frame["calls"] * 2.5)
        scorer, about = loaded(estimator, COLUMNS[1:3], None, frame)
        assert (about["encoded"], about["takes"]) == (True, "array")
        rows = frame.head(20).to_numpy().tolist()
        assert [scorer.predict(row) for row in rows] == [
            float(answers(estimator, row, COLUMNS[1:3])[0]) for row in rows
        ]


@pytest.mark.parametrize("n_features", [1, 2])
def test_anomalies_of_single_rows(n_features: int) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 2)), columns=["a", "b"])
    forest = IsolationForest(n_estimators=5, max_features=n_features, contamination=0.1, random_state=0)
    pipeline = make_pipeline(StandardScaler(), AnomalyDetector(forest, has_rule=True)).fit(frame)
    columns = tuple(Column(name, "double precision", "number") for name in frame)
    scorer, _ = loaded(pipeline, columns, None, frame)
    expected = predict_is_anomaly(pipeline, frame).tolist()
    rows = frame.to_numpy().tolist()
    assert [scorer.is_anomaly(row) for row in rows] == expected
    assert [scorer.predict(row) for row in rows] == pipeline.predict(frame).tolist()
    assert type(scorer.estimator).__name__ == "Isolation"
    assert scorer.is_anomaly([math.inf, 1.0]) is None  # the scaler takes no infinity


def test_distances_to_centres() -> None:
    frame = drawn()[["calls", "is_vip"]]
    pipeline = make_pipeline(StandardScaler(), KMeans(3, n_init=1, random_state=0)).fit(frame)
    scorer, _ = loaded(pipeline, COLUMNS[1:3], None, frame)
    row = frame.iloc[0].tolist()
    space = pipeline[:-1].transform(frame.head(1))
    expected = [float(np.linalg.norm(center - space[0])) for center in pipeline[-1].cluster_centers_]
    assert scorer.distances(row) == pytest.approx(expected, rel=1e-12)
    assert scorer.distances([None, 1.0]) is None  # KMeans takes no missing value


@pytest.mark.parametrize(
    "encoder",
    [
        FunctionTransformer(np.cumsum),  # no scoring program
        make_pipeline(StandardScaler(), PCA(2)),  # sums, whose order is BLAS's
    ],
)
def test_what_has_no_exact_encoder_gets_frames(encoder: Any) -> None:
    frame = drawn()[["calls", "is_vip"]]
    pipeline = Pipeline([("encode", encoder), ("estimate", GaussianNB())]).fit(frame, LABELS)
    scorer, about = loaded(pipeline, COLUMNS[1:3], pipeline.classes_.tolist(), frame)
    assert not about["encoded"]
    row = frame.iloc[0].tolist()
    assert scorer.predict(row) == answers(pipeline, row, COLUMNS[1:3])[0]


def test_a_difference_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = drawn()[["calls", "is_vip"]]
    pipeline = make_pipeline(StandardScaler(), GaussianNB()).fit(frame, LABELS)
    assert row_encoder.encoder_of(pipeline, COLUMNS[1:3], frame)
    pipeline[0].scale_ = np.nextafter(pipeline[0].scale_, 9)  # what the encoder reads
    source = row_encoder.generate_encoder(row_encoder._encoded(pipeline, COLUMNS[1:3]))
    pipeline[0].scale_ = np.nextafter(pipeline[0].scale_, 0)
    monkeypatch.setattr(row_encoder, "generate_encoder", lambda encoded: source)
    assert row_encoder.encoder_of(pipeline, COLUMNS[1:3], frame) is None


def test_estimators_of_a_release_with_other_insides_answer_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = np.arange(20.0)[:, None]
    boosted = XGBRegressor(n_estimators=2).fit(x, x[:, 0])
    forest = RandomForestRegressor(2).fit(x, x[:, 0])
    assert isinstance(fast_estimators.quick(boosted), fast_estimators.Boosted)
    assert isinstance(fast_estimators.quick(forest), fast_estimators.Forest)
    monkeypatch.delattr("xgboost.core._check_call")
    monkeypatch.delattr("sklearn.ensemble._forest.BaseForest._validate_X_predict")
    assert fast_estimators.quick(boosted) is boosted
    assert fast_estimators.quick(forest) is forest
