"""Training without auto: preprocessors of every kind, kmeans, what is refused; each compiled and compared."""

from __future__ import annotations

import dataclasses
import itertools
import math
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import ColumnSet
from postgres_ml.contract.exceptions import SpecError, TrainingDataError
from postgres_ml.evaluate.clusters import distances_to, evaluate_clusters, predict_distances, profile
from postgres_ml.features.feature_columns import choose_columns
from postgres_ml.features.problem import Problem, resolve, return_type
from postgres_ml.features.transformer_rules import TRANSFORMERS, check_chain, check_columns
from postgres_ml.fit import configured
from postgres_ml.fit.choice import Choice
from postgres_ml.fit.fit import fit_pipeline
from postgres_ml.fit.task import Deadline, Task
from postgres_ml.lower import parse_pipeline
from postgres_ml.program.interpret import predict
from postgres_ml.program.program import Input
from postgres_ml.snapshot.rows import TrainingRows
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier, MLPRegressor
from support.training import column, make_spec

COLUMNS = (column("x"), column("n", "integer"), column("word", "text"), column("flag", "boolean"))
N = 300


def make_rows(seed: int = 0) -> TrainingRows:
    random = np.random.default_rng(seed)
    x, n = random.normal(5, 3, N), random.integers(0, 4, N).astype(float)
    x[::17], n[::23] = np.nan, np.nan
    word = random.choice(np.array(["a", "b", "c", None], dtype=object), N)
    flag = random.integers(0, 2, N).astype(float)
    target = np.nan_to_num(x) * 2 + (word == "a") * 9 + flag
    frame = pd.DataFrame({"x": x, "n": n, "word": pd.Series(word, dtype=object), "flag": flag})
    return TrainingRows(frame, target, np.arange(N, dtype=np.uint64), "0")


def task_for(
    rows: TrainingRows,
    sets: tuple[ColumnSet, ...] | None,
    features: tuple[Column, ...] = COLUMNS,
    **changes: Any,
) -> Task:
    target = None if changes["model_types"][0] in configured.OWN_SCALING else column("target")
    spec = make_spec(None if target is None else "target", auto=False, preprocessors=sets, **changes)
    problem = resolve(spec, target, rows.target, [])
    return Task(spec, problem, choose_columns(features, rows, [], sets), 1, Deadline(60))


NOTED = (*COLUMNS, column("notes", "text"))
NOTES = ["Good,", "BAD", "über", "日本、", "don't", "x", "\u2028"]


def noted_rows() -> TrainingRows:
    """The same rows with free texts, of which a pair of words counts."""
    rows, random = make_rows(), np.random.default_rng(9)
    notes = [" ".join(random.choice(NOTES, random.integers(0, 7))) if k % 19 else None for k in range(N)]
    target = rows.target + np.array([9.0 * ("Good, BAD" in (text or "")) for text in notes])
    frame = rows.frame.assign(notes=pd.Series(notes, dtype=object))
    return TrainingRows(frame, target, rows.keys, "0")


def fit(rows: TrainingRows, sets: tuple[ColumnSet, ...] | None, **changes: Any) -> Any:
    task = task_for(rows, sets, **changes)
    return configured.fit(task, configured.configured_candidate(task.spec, task.problem), rows)


ISOLATION: dict[str, Any] = {"model_types": ("isolation_forest",), "problem_type": "anomaly_detection"}


def check_program(
    pipeline: Any,
    rows: TrainingRows,
    problem: str = "double precision",
    columns: tuple[Column, ...] = COLUMNS,
) -> None:
    """The compiled program predicts what the pipeline predicts."""
    inputs = tuple(Input(c.name, c.sql_type, c.kind) for c in columns)
    program = parse_pipeline(pipeline, inputs, problem)
    cells = {
        name: [None if v is None or v != v else v for v in rows.frame[name].tolist()] for name in rows.frame
    }
    ours = np.array([math.nan if v is None else float(v) for v in predict(program, cells)])  # type: ignore[arg-type]
    assert np.allclose(ours, pipeline.predict(rows.frame), rtol=1e-6, atol=1e-9)


TEXT = ColumnSet(("word",), ("OneHotEncoder",))
SETS = {
    "one hot": (ColumnSet(("word", "n", "flag"), ("OneHotEncoder",)), ColumnSet(("x",), ("Imputer",))),
    "ordinal": (ColumnSet(("word", "n"), ("OrdinalEncoder",)), ColumnSet(("*",), ("Imputer",))),
    "imputed categories": (
        ColumnSet(("word", "n"), ("Imputer", "OneHotEncoder")),
        ColumnSet(("x",), ("Imputer",)),
    ),
    "scaled": (TEXT, ColumnSet(("*",), ("ImputerWithIndicator", "StandardScaler"))),
    "min max": (
        TEXT,
        ColumnSet(("x", "n"), ("MinMax", "Imputer")),
        ColumnSet(("flag",), ("NumericPassthrough",)),
    ),
    "pca": (TEXT, ColumnSet(("*",), ("Imputer", "StandardScaler", "PCA", "MinMax"))),
    "normalizer": (ColumnSet(("*",), ("Imputer", "OrdinalEncoder", "Normalizer")),),
    "unnamed columns": (ColumnSet(("x",), ("Imputer", "MinMax")),),
}


@pytest.mark.parametrize("model_type", ["linear_learner", "xgboost"])
@pytest.mark.parametrize("name", SETS)
def test_chains_are_fitted_and_compiled(name: str, model_type: str) -> None:
    sets, rows = SETS[name], make_rows()
    assert not [problem for item in sets for problem in check_chain(item.transformers)]
    assert not check_columns(sets, COLUMNS)
    check_program(fit(rows, sets, model_types=(model_type,), problem_type="regression"), rows)


def test_dates_timestamps_and_times_of_day_have_parts_of_their_own() -> None:
    random = np.random.default_rng(0)
    hours = random.integers(0, 24 * 700, N).astype("timedelta64[h]")
    at = np.datetime64("2023-11-27T00:00:00", "us") + hours
    opens = np.datetime64("1970-01-01", "us") + hours % np.timedelta64(24, "h")
    frame = pd.DataFrame(
        {"day": at.astype("datetime64[D]").astype("datetime64[us]"), "at": at, "opens": opens}
    )
    frame.loc[7] = pd.NaT
    target = frame["at"].dt.hour.fillna(0).to_numpy() + 0.1 * frame["day"].dt.day_of_week.fillna(0).to_numpy()
    rows = TrainingRows(frame, target, np.arange(N, dtype=np.uint64), "0")
    features = (Column("day", "date", "date"), Column("at", "timestamp with time zone", "timestamptz"),
                Column("opens", "time without time zone", "time"))  # fmt: skip
    sets = (ColumnSet(("*",), ("DateTimeVectorizer", "Imputer")),)
    assert not check_columns(sets, features)
    task = task_for(rows, sets, features, model_types=("xgboost",), problem_type="regression")
    pipeline = configured.fit(task, configured.configured_candidate(task.spec, task.problem), rows)
    hour = int(hours[0].astype(int)) % 24
    assert pipeline[:-1].transform(frame[:1])[0, -2:].tolist() == [hour, 3600 * hour]
    assert pipeline.score(frame, target) > 0.98, "the hour is there"
    program = parse_pipeline(
        pipeline, tuple(Input(c.name, c.sql_type, c.kind) for c in features), "double precision"
    )
    cells = {name: [None if pd.isna(v) else v for v in frame[name]] for name in frame}
    assert np.allclose(predict(program, cells), pipeline.predict(frame), rtol=1e-9)  # type: ignore[arg-type]


def test_every_transformer_has_a_case() -> None:
    used = {name for sets in SETS.values() for item in sets for name in item.transformers}
    assert used | {"DateTimeVectorizer", "TextVectorizer", "TextStatistics"} == set(TRANSFORMERS)


WORDS = (
    ColumnSet(("notes",), ("TextVectorizer",)),
    ColumnSet(("word",), ("TextVectorizer",), 2, 50, "words"),
    ColumnSet(("*",), ("Imputer", "StandardScaler")),
)


@pytest.mark.parametrize("model_type", ["linear_learner", "xgboost", "mlp"])
@pytest.mark.parametrize(
    "sets",
    [
        WORDS,
        (ColumnSet(("notes",), ("TextVectorizer",), terms="pairs"), SETS["pca"][1]),
        (ColumnSet(("notes",), ("TextStatistics", "StandardScaler", "PCA")), SETS["pca"][1]),
        (
            ColumnSet(("notes",), ("TextStatistics",)),
            ColumnSet(("notes",), ("TextVectorizer",)),
            SETS["pca"][1],
        ),
    ],
)
def test_words_are_fitted_and_compiled(sets: tuple[ColumnSet, ...], model_type: str) -> None:
    rows = noted_rows()
    sets = (*sets[:1], TEXT, *sets[1:]) if sets is not WORDS else sets
    task = task_for(rows, sets, NOTED, model_types=(model_type,), problem_type="regression")
    pipeline = configured.fit(task, configured.configured_candidate(task.spec, task.problem), rows)
    assert not check_columns(sets, NOTED)
    check_program(pipeline, rows, columns=NOTED)


def test_words_are_chosen_by_the_target_and_found_in_the_program() -> None:
    rows = noted_rows()
    sets = (ColumnSet(("notes",), ("TextVectorizer",), 3, 2, "both"), ColumnSet(("x", "n"), ("Imputer",)))
    task = task_for(rows, sets, NOTED, model_types=("linear_learner",), problem_type="regression")
    pipeline = configured.fit(task, configured.configured_candidate(task.spec, task.problem), rows)
    (words,) = [part for name, part, _ in pipeline[0].transformers_ if name == "words0"]
    assert "good bad" in words.terms_[0]
    assert pipeline.score(rows.frame, rows.target) > 0.9


def test_a_column_without_words_to_count_is_refused_before_training() -> None:
    rows = noted_rows()
    rows.frame["notes"] = [f"number{k}" for k in range(N)]
    sets = (ColumnSet(("notes",), ("TextVectorizer",)),)
    expected = 'column "notes" has no word or pair of words that is in 5 rows or more and not in all'
    with pytest.raises(TrainingDataError, match=expected):
        choose_columns(NOTED, rows, [], sets)
    rows.frame["notes"] = "the same words"
    with pytest.raises(TrainingDataError, match="lower min_df"):
        choose_columns(NOTED, rows, [], sets)
    rows.frame["notes"] = [f"w{k % 9}" for k in range(N)]
    messages: list[str] = []
    choose_columns(NOTED, rows, messages, sets)
    assert 'column "notes" has one word a row at most: a OneHotEncoder tells as much' in messages[0]


def test_words_are_of_text_alone() -> None:
    (problem,) = check_columns((ColumnSet(("n",), ("TextVectorizer",)),), COLUMNS)
    assert 'column "n" is of type integer, and a TextVectorizer needs text' in problem
    assert "TextVectorizer stands alone" in check_chain(("Imputer", "TextVectorizer"))[0]


def test_characters_are_of_text_alone_and_come_first() -> None:
    (problem,) = check_columns((ColumnSet(("n",), ("TextStatistics",)),), COLUMNS)
    assert 'column "n" is of type integer, and a TextStatistics needs text' in problem
    (problem,) = check_chain(("Imputer", "TextStatistics"))
    assert "TextStatistics reads the query's own texts, so it must come before Imputer" in problem
    (problem,) = check_chain(("TextStatistics", "Imputer"))
    assert "Imputer must come before TextStatistics, which leaves no missing value" in problem
    assert not check_chain(("TextStatistics", "MinMax", "PCA"))


def test_none_hands_the_numbers_on_as_they_are() -> None:
    rows = make_rows()
    features = tuple(c for c in COLUMNS if c.kind != "text")
    task = task_for(rows, (), features, model_types=("xgboost",), problem_type="regression")
    pipeline = configured.fit(task, configured.configured_candidate(task.spec, task.problem), rows)
    encoded = pipeline[:-1].transform(rows.frame)
    assert np.array_equal(encoded, rows.frame[["x", "n", "flag"]].to_numpy(), equal_nan=True)
    assert "column \"word\" is of type text and preprocessors are 'none'" in check_columns((), COLUMNS)[0]


def test_columns_named_in_a_set_are_used_even_if_they_look_useless() -> None:
    rows = make_rows()
    rows.frame["n"] = 7.0
    notes: list[str] = []
    assert "n" not in choose_columns(COLUMNS, rows, notes).kinds
    assert "n" in choose_columns(COLUMNS, rows, notes, (ColumnSet(("n",), ("MinMax",)),)).kinds
    assert "n" not in choose_columns(COLUMNS, rows, notes, (ColumnSet(("*",), ("MinMax",)),)).kinds


@pytest.mark.parametrize(
    ("sets", "model_type", "cause"),
    [
        (
            (ColumnSet(("x", "flag"), ("PCA",)), TEXT),
            "xgboost",
            'column "x" is NULL in 18 rows, and PCA takes',
        ),
        ((ColumnSet(("x",), ("StandardScaler",)),), "linear_learner", "and linear_learner takes no missing"),
        ((ColumnSet(("x",), ("MinMax",)),), "mlp", "and mlp takes no missing"),
    ],
)
def test_missing_values_that_no_step_takes_are_refused(sets: Any, model_type: str, cause: str) -> None:
    with pytest.raises(TrainingDataError, match=cause):
        fit(make_rows(), sets, model_types=(model_type,), problem_type="regression")


KMEANS: dict[str, Any] = {"model_types": ("kmeans",), "hyperparameters": {"k": "4"}}


def test_kmeans_imputes_scales_and_encodes_by_itself() -> None:
    rows = make_rows()
    pipeline = fit(rows, None, **KMEANS)
    encoded = pipeline[:-1].transform(rows.frame)
    assert encoded.shape == (N, 3 + 4) and not np.isnan(encoded).any()
    assert np.allclose(encoded[:, :3].mean(axis=0), 0) and np.allclose(encoded[:, :3].std(axis=0), 1)
    check_program(pipeline, rows, "integer")
    assert pipeline.predict(rows.frame).dtype.kind == "i"
    metrics = evaluate_clusters(pipeline, rows.frame)
    assert metrics["inertia"] == pytest.approx(pipeline[-1].inertia_)
    distances = predict_distances(pipeline, rows.frame)
    assert np.array_equal(distances.argmin(axis=1), pipeline.predict(rows.frame))
    assert np.allclose(distances, pipeline.transform(rows.frame), atol=1e-7)
    found = profile(pipeline, rows.frame)
    assert list(found) == ["x", "n", "flag", "rows"] and found["rows"].sum() == N


def test_a_distance_near_a_centre_keeps_its_digits() -> None:
    center = np.array([[1e6, 1e6]])
    assert distances_to(center, center + 1e-6)[0, 0] == pytest.approx(math.sqrt(2) * 1e-6, rel=1e-3)


def test_one_cluster_for_all_rows_has_no_silhouette() -> None:
    rows = make_rows()
    pipeline = fit(rows, None, **KMEANS)
    assert evaluate_clusters(pipeline, rows.frame.iloc[[0] * 5]).keys() == {"inertia"}


@pytest.mark.parametrize("solver", ["adam", "adam stopped early", "sgd", "lbfgs"])
@pytest.mark.parametrize("problem_type", ["regression", "multiclass_classification"])
def test_a_network_ends_at_the_deadline_with_what_it_has(solver: str, problem_type: str) -> None:
    rows = make_rows()
    if problem_type != "regression":
        rows = dataclasses.replace(rows, target=np.floor(rows.target / 10))
    solver, _, early = solver.partition(" ")
    given = {
        "solver": solver,
        "early_stopping": bool(early),
        "max_iter": 4000,
        "tol": 0.0,
        "n_iter_no_change": 4000,
    }
    task = task_for(rows, None, model_types=("mlp",), problem_type=problem_type, hyperparameters=given)
    # a second passes whenever somebody looks at the clock
    task = dataclasses.replace(task, deadline=Deadline(5.5, itertools.count().__next__))
    choice = Choice(configured.configured_candidate(task.spec, task.problem))
    pipeline = fit_pipeline(task, choice, rows, task.deadline)
    inside = pipeline[-1].regressor_ if problem_type == "regression" else pipeline[-1].estimator_
    assert inside.n_iter_ <= 5
    assert type(inside) in (MLPClassifier, MLPRegressor), "the library's own class is what is pickled"
    assert (
        pickle.loads(pickle.dumps(pipeline)).predict(rows.frame).tolist()
        == pipeline.predict(rows.frame).tolist()
    )
    assert len(pipeline.predict(rows.frame)) == N
    again = MLPRegressor(max_iter=6, tol=0.0).fit(np.eye(30), np.arange(30.0))
    assert again.n_iter_ == 6, "scikit-learn is as it was"
    check_program(pipeline, rows)


def test_more_clusters_than_rows_or_points_are_refused() -> None:
    rows = make_rows()
    with pytest.raises(TrainingDataError, match="k is 301, more than the 300 rows"):
        fit(rows, None, model_types=("kmeans",), hyperparameters={"k": 301})
    few = rows.take(np.ones(N, bool))
    few.frame[["x", "n", "word"]] = [1.0, 1.0, "a"]
    with pytest.raises(
        TrainingDataError, match="k is 4, but the rows to train on have only 2 different points"
    ):
        fit(few, None, **KMEANS)


def test_return_types() -> None:
    clusters = Problem("clustering", "inertia", "inertia", np.array([]))
    numbers = Problem("regression", "mse", "mse", np.array([]))
    assert return_type(clusters, None) == "integer"
    assert return_type(numbers, column("y", "integer")) == "double precision"
    assert not clusters.has_probabilities and not clusters.is_classification


def test_values_that_the_library_refuses_are_config_errors() -> None:
    given = {"solver": "sgd", "l1_ratio": 0.5}
    with pytest.raises(SpecError, match="linear_learner has no l1_ratio for a regression; it has alpha"):
        fit(
            make_rows(),
            None,
            model_types=("linear_learner",),
            problem_type="regression",
            hyperparameters=given,
        )
    with pytest.raises(SpecError, match=r"linear_learner rejects these hyperparameters: .*solver"):
        options = {"problem_type": "regression", "hyperparameters": {"solver": "quick"}}
        fit(make_rows(), None, model_types=("linear_learner",), **options)


def test_an_isolation_forest_imputes_and_encodes_by_itself() -> None:
    rows = make_rows()
    pipeline = fit(rows, None, hyperparameters={"num_trees": 20, "contamination": 0.1}, **ISOLATION)
    check_program(pipeline, rows)
    assert pipeline[-1].has_rule and pipeline[-1].estimator_.n_estimators == 20
    assert pipeline[-1].is_anomaly(pipeline[:-1].transform(rows.frame)).mean() == pytest.approx(0.1, abs=0.01)
    again = fit(rows, None, hyperparameters={"num_trees": 20, "contamination": 0.1}, **ISOLATION)
    assert np.array_equal(again.predict(rows.frame), pipeline.predict(rows.frame)), "seeded"
    plain = fit(rows, (ColumnSet(("x", "n"), ("NumericPassthrough",)),), **ISOLATION)
    assert not plain[-1].has_rule and np.isfinite(plain.predict(rows.frame)).all(), (
        "trees take what is missing"
    )


def test_samples_that_scikit_learn_would_change_silently_are_refused() -> None:
    rows = make_rows()
    with pytest.raises(TrainingDataError, match=r"max_samples is 301, more than the 300 rows.*1\.0 for all"):
        fit(rows, None, hyperparameters={"max_samples": 301}, **ISOLATION)
    with pytest.raises(TrainingDataError, match=r"max_samples is 0\.005, less than two of the 300 rows"):
        fit(rows, None, hyperparameters={"max_samples": 0.005}, **ISOLATION)
    with pytest.raises(SpecError, match="isolation_forest rejects these hyperparameters: max_features"):
        fit(rows, None, hyperparameters={"max_features": 90}, **ISOLATION)


def test_categories_are_the_trees_of_one_hot_columns() -> None:
    """The oracle is xgboost itself on one-hot columns: a split of one category against the others is the same."""
    rows = make_rows()
    known = np.array([word is not None for word in rows.frame["word"]])
    rows = rows.take(known)
    pipeline = fit(rows, None, model_types=("xgboost",), hyperparameters={"num_round": 20})
    booster = pipeline[-1].get_booster()
    assert (
        booster.feature_types == ["q", "q", "q", "c"]
        and "categories_nodes" in booster.save_raw("json").decode()
    )
    frame = rows.frame.assign(**{f"is {word}": (rows.frame["word"] == word) * 1.0 for word in "abc"})
    plain = xgboost.XGBRegressor(n_estimators=20, random_state=0, n_jobs=1).fit(
        frame.drop(columns="word"), rows.target
    )
    np.testing.assert_allclose(
        pipeline.predict(rows.frame), plain.predict(frame.drop(columns="word")), rtol=1e-5
    )
    check_program(pipeline, rows)


@pytest.mark.parametrize("given", [{"tree_method": "exact"}, {"updater": "grow_quantile_histmaker,prune"}])
def test_what_knows_no_categories_gets_one_hot_columns(given: dict[str, str]) -> None:
    rows = make_rows()
    pipeline = fit(rows, None, model_types=("xgboost",), hyperparameters={"num_round": 5, **given})
    assert pipeline[-1].n_features_in_ == 7 and "c" not in (pipeline[-1].get_booster().feature_types or [])
    check_program(pipeline, rows)


def test_rows_are_halved_on_their_way_to_xgboost_and_nothing_else_changes() -> None:
    rows = make_rows()
    task = task_for(rows, None, model_types=("xgboost",))
    candidate = configured.configured_candidate(task.spec, task.problem)
    frame = configured.frame_to_fit(task, candidate, rows)
    assert frame.dtypes.map(str).to_dict() == {
        "x": "float32",
        "n": "float32",
        "word": "object",
        "flag": "float32",
    }
    pipeline = configured.fit(task, candidate, rows)
    assert pipeline[:-1].transform(frame).dtype == np.float32
    again = configured.columns_of(task, candidate).fit_transform(rows.frame)
    expected = clone(pipeline[-1]).fit(again, rows.target).predict(again)
    np.testing.assert_array_equal(pipeline.predict(rows.frame), expected)
