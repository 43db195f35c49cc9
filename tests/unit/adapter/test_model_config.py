"""A create_model's config: every problem at once, each with what was found and what is allowed."""

from types import SimpleNamespace

import pytest
from dbt.adapters.postgres_ml.config.grants import privilege_problems
from dbt.adapters.postgres_ml.config.manifest import check_manifest
from postgres_ml.contract.config import ColumnSet, Gate, Settings

from tests.support.model_config import ConfigReader, node, problems


def test_target_alone_is_enough():
    spec = ConfigReader(node(target="y")).read()
    assert spec.function == "predict_churn"
    assert spec.auto
    assert spec.model_types == ("xgboost", "linear_learner", "mlp", "additive")
    assert spec.problem_type is None
    assert spec.settings == Settings()
    assert spec.runtime == "auto"


def test_redshift_spellings_are_accepted():
    spec = ConfigReader(
        node(
            target="y",
            auto="OFF",
            model_type="XGBOOST",
            problem_type="BINARY_CLASSIFICATION",
            objective="Binary:Logistic",
            hyperparameters={"num_round": "100"},
            settings={"MAX_CELLS": "200000", "S3_BUCKET": "b", "iam_role": "default"},
        )
    ).read()
    assert (spec.auto, spec.model_types, spec.objective) == (False, ("xgboost",), "binary:logistic")
    assert spec.settings.max_cells == 200_000
    assert ConfigReader(node(target="y", objective="F1Macro")).read().objective == "f1_macro"


def test_keys_of_tools_around_dbt_are_no_concern():
    """They are set for folders of models, of which a create_model is one."""
    osmosis = {"dbt-osmosis": "_{model}.yml", "dbt-osmosis-options": {"skip-add-data-types": True}}
    reader = ConfigReader(node(target="y", **osmosis, elementary={"timestamp_column": "trained_at"}))
    assert reader.read() is not None
    assert reader.notices == []


def test_redshift_settings_are_named_as_meaningless():
    reader = ConfigReader(node(target="y", settings={"s3_bucket": "b", "KMS_KEY_ID": "k"}))
    reader.read()
    assert reader.notices == ["s3_bucket", "kms_key_id"]


def test_redshift_clauses_become_the_same_config():
    spec = ConfigReader(
        node(
            target="y",
            auto="off",
            model_type="XGBoost",
            objective="reg:logistic",
            preprocessors="NONE",
            hyperparameters="DEFAULT EXCEPT (NUM_ROUND '50', eta '0.2')",
            iam_role="default",
        )
    ).read()
    assert spec.problem_type == "regression"  # as the objective says
    assert spec.preprocessors == ()
    assert spec.hyperparameters == {"NUM_ROUND": "50", "eta": "0.2"}
    json_text = '[{"ColumnSet": ["t1", "t2"], "Transformers": ["onehotencoder"]}, {"ColumnSet": ["*"], "Transformers": ["MINMAX"]}]'
    assert ConfigReader(node(target="y", preprocessors=json_text)).read().preprocessors == (
        ColumnSet(("t1", "t2"), ("OneHotEncoder",)),
        ColumnSet(("*",), ("MinMax",)),
    )
    as_dicts = [{"column_set": "t1", "transformers": ["Imputer", "StandardScaler"]}]
    assert ConfigReader(node(target="y", preprocessors=as_dicts)).read().preprocessors == (
        ColumnSet(("t1",), ("Imputer", "StandardScaler")),
    )
    default = ConfigReader(node(target="y", auto=False, model_type="mlp", hyperparameters="Default")).read()
    assert default.hyperparameters == {} and default.preprocessors is None


def test_an_additive_model_is_searched_for_beside_others_or_where_that_is_asked_for():
    alone = ConfigReader(node(target="y", model_type="additive")).read()
    assert (alone.auto, alone.model_types) == (False, ("additive",))
    searched = ConfigReader(node(target="y", model_type="additive", auto=True)).read()
    assert (searched.auto, searched.model_types) == (True, ("additive",))
    several = ConfigReader(node(target="y", model_type=["additive", "xgboost"])).read()
    assert (several.auto, several.model_types) == (True, ("additive", "xgboost"))


@pytest.mark.parametrize("runtime", ["sql", "auto", None])
def test_how_much_may_be_given_up_for_sql_is_a_share(runtime):
    given = {} if runtime is None else {"runtime": runtime}
    spec = ConfigReader(node(target="y", settings={"sql_tolerance": "0.03"}, **given)).read()
    assert spec.settings.sql_tolerance == 0.03
    assert ConfigReader(node(target="y")).read().settings.sql_tolerance == 0.015


def test_an_isolation_forest_has_neither_target_nor_auto():
    config = {"model_type": "isolation_forest", "hyperparameters": {"contamination": 0.02}}
    spec = ConfigReader(node(**config)).read()
    assert (spec.target, spec.auto, spec.problem_type) == (None, False, "anomaly_detection")
    assert "it scores rows without one" in problems(target="y", **config)[0]
    assert problems(problem_type="regression", **config) == ["isolation_forest takes no 'problem_type'"]
    assert problems(auto=True, **config)[0] == "model_type 'isolation_forest' needs 'auto: false'"
    (refused,) = problems(model_type="isolation_forest", hyperparameters={"contamination": "0.6"})
    assert refused == "hyperparameter 'contamination' must be above 0 and at most 0.5, got '0.6'"
    gated = ConfigReader(node(gates={"score_p99": "< 0.8"}, **config)).read()
    assert gated.gates[0].metric == "score_p99" and gated.has_anomaly_rule
    (refused,) = problems(model_type="isolation_forest", gates={"anomaly_share": "< 0.1"})
    assert refused.startswith("gates: 'anomaly_share' needs the hyperparameter 'contamination'")


def test_an_interval_is_of_a_number():
    assert ConfigReader(node(target="y", interval="0.9")).read().interval == 0.9
    assert ConfigReader(node(target="y", interval=0.5, objective="mse")).read().interval == 0.5
    assert problems(target="y", interval=0.49) == ["interval must be a number from 0.5 to 0.999, found 0.49"]
    for classes in ({"problem_type": "binary_classification"}, {"objective": "auc"}):
        (refused,) = problems(target="y", interval=0.9, **classes)
        assert "predicts classes" in refused and "predict_probabilities()" in refused
    kmeans = {"model_type": "kmeans", "hyperparameters": {"k": 3}, "interval": 0.9}
    assert problems(**kmeans) == ["kmeans takes no 'interval': it predicts no value of a target"]
    (refused,) = problems(source="models:/price@champion", interval=0.9)
    assert refused == "interval: not allowed beside 'source', which trains nothing"
    (refused,) = problems(target="y", gates={"interval_width": "< 5"})
    assert (
        refused == "gates: interval_coverage and interval_width need 'interval', the share of rows to cover"
    )


def test_a_weight_is_a_column_of_its_own():
    assert ConfigReader(node(target="y", weight="n")).read().weight == "n"
    assert problems(target="y", weight="y") == [
        "weight: 'y' is the column of 'target' already; use one of its own"
    ]
    (refused,) = problems(target="y", weight="n", settings={"holdout": {"column": "n"}})
    assert "the column of 'settings: holdout' already" in refused
    (refused,) = problems(target="y", weight="n", **preprocessors((["n"], ["StandardScaler"])))
    assert refused == "preprocessors: 'n' says how much a row counts, so it is not a feature"
    kmeans = {"model_type": "kmeans", "hyperparameters": {"k": 3}, "weight": "n"}
    assert "kmeans takes no 'weight'" in problems(**kmeans)[0]
    (refused,) = problems(source="models:/price@champion", weight="n")
    assert refused == "weight: not allowed beside 'source', which trains nothing"


def test_a_quantile_needs_its_objective_and_the_objective_its_quantile():
    config = {"target": "y", "auto": False, "model_type": "xgboost"}
    objective = {"objective": "reg:quantileerror"}
    spec = ConfigReader(node(**config, **objective, hyperparameters={"Quantile_Alpha": "0.9"})).read()
    assert (spec.quantile, spec.problem_type) == (0.9, "regression")
    (refused,) = problems(**config, **objective)
    assert "needs the hyperparameter 'quantile_alpha'" in refused
    (refused,) = problems(**config, hyperparameters={"quantile_alpha": 0.9})
    assert refused == "hyperparameter 'quantile_alpha' needs objective 'reg:quantileerror'"
    (refused,) = problems(target="y", gates={"pinball": "< 5"})
    assert "metric of objective 'reg:quantileerror' alone" in refused


def test_a_forecast_has_keys_of_its_own_and_none_of_the_others():
    config = {"model_type": "FORECAST", "target": "sold", "settings": {"HORIZON": "5", "FREQUENCY": "d"}}
    spec = ConfigReader(node(auto="on", objective="AverageWeightedQuantileLoss", **config)).read()
    assert spec.is_forecast and spec.auto and spec.problem_type == "forecasting"
    assert spec.objective == "average_weighted_quantile_loss"
    settings = spec.settings
    assert (settings.horizon, settings.frequency) == (5, "D")
    assert settings.percentiles == ("mean", "0.1", "0.5", "0.9")
    given = ConfigReader(
        node(**{**config, "settings": {"horizon": 1, "percentiles": "0.90,0.25, mean,0.50"}})
    )
    assert given.read().settings.percentiles == ("mean", "0.25", "0.5", "0.9")
    assert ConfigReader(node(time="day", series="store", **config)).read().series == ("store",)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"settings": {}}, "a forecast needs settings: {horizon: …}"),
        ({"settings": {"horizon": 0}}, "settings: horizon must be a whole number from 1 to 10000, found 0"),
        ({"settings": {"horizon": 3, "frequency": "2h"}}, "settings: frequency '2h' is not one of y, q, m"),
        ({"settings": {"horizon": 3, "percentiles": "0.5,1.5"}}, "must be 'mean' or from 0.01 to 0.99 in steps of 0.01, found '1.5'"),
        ({"settings": {"horizon": 3, "percentiles": "0.005"}}, "found '0.005'"),
        ({"settings": {"horizon": 3, "percentiles": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}}, "may be 5 besides the mean, found 6"),
        ({"settings": {"horizon": 3, "holdout": 0.1}}, "settings: a forecast takes no 'holdout'"),
        ({"objective": "auc"}, "objective 'auc' is for other models; a forecast's are mase"),
        ({"auto": False}, "a forecast chooses its models itself"),
        ({"runtime": "native"}, "a forecast's values are in a SQL function"),
        ({"promote": "if_better"}, "a forecast takes no 'promote: if_better'"),
        ({"explain": True}, "a forecast takes no 'explain'"),
        ({"time": "sold"}, "'sold' has two roles"),
        ({"series": ["mean"]}, "column 'mean' has the name of the function's argument or of a column of the forecast"),
        ({"model_type": ["forecast", "xgboost"]}, "model_type 'forecast' is never compared with others"),
        ({"model_type": "xgboost", "time": "day"}, "'time, settings: horizon' is for 'model_type: forecast' only"),
        ({"model_type": "xgboost", "settings": {}, "objective": "mase"}, "objective 'mase' is for 'model_type: forecast' only"),
    ],
)  # fmt: skip
def test_what_a_forecast_refuses(config, text):
    found = problems(**{"model_type": "forecast", "target": "sold", "settings": {"horizon": 3}, **config})
    assert any(text in problem for problem in found), found


def test_kmeans_has_neither_target_nor_auto():
    config = {"model_type": "KMEANS", "hyperparameters": {"K": "7"}}
    spec = ConfigReader(node(**config)).read()
    assert (spec.target, spec.auto, spec.problem_type) == (None, False, "clustering")
    assert "'target' (found 'y')" in problems(target="y", **config)[0]
    assert problems(objective="mse", **config) == ["kmeans takes no 'objective'"]
    assert problems(model_type="kmeans") == ["kmeans needs the hyperparameter 'k', the number of clusters"]
    assert problems(auto=True, **config)[0] == "model_type 'kmeans' needs 'auto: false'"


def test_settings_of_every_kind():
    given = {"max_trials": "20", "keep_versions": 3, "refit": "off", "compute": "LOCAL"}
    spec = ConfigReader(
        node(target="y", settings={**given, "holdout": {"Time": "sold", "after": "2020-01-01"}})
    ).read()
    assert spec.settings == Settings(
        max_trials=20, keep_versions=3, refit=False, holdout_time="sold", holdout_after="2020-01-01"
    )
    assert spec.settings.split_column == "sold"
    spec = ConfigReader(node(target="y", settings={"holdout": {"column": "is_test"}})).read()
    assert spec.settings.split_column == "is_test"


@pytest.mark.parametrize(
    ("given", "n_bytes"),
    [
        ("4 GB", 4 * 10**9), ("1.5gib", 3 * 2**29), (800_000_000, 800_000_000), ("800000 kB", 800_000_000),
        ("0.2 T", 2 * 10**11), ("500MB", 500_000_000),
    ],
)  # fmt: skip
def test_max_memory_is_a_size(given, n_bytes):
    spec = ConfigReader(node(target="y", settings={"max_memory": given})).read()
    assert spec.settings.max_memory == n_bytes


@pytest.mark.parametrize("given", ["much", "4 PB", True, "99 MB", -1, 5])
def test_max_memory_is_no_other_thing(given):
    (problem,) = problems(target="y", settings={"max_memory": given})
    assert "settings: max_memory must be a size such as '4 GB', of at least 100 MB" in problem


def test_warnings_are_kept_for_the_build():
    reader = ConfigReader(
        node(
            target="y",
            auto=False,
            model_type="xgboost",
            hyperparameters={"eta": 0.05, "refresh_leaf": "1"},
        )
    )
    assert reader.read().hyperparameters["eta"] == 0.05
    assert reader.warnings == [
        "hyperparameter 'eta' is 0.05; Amazon Redshift takes 0.1 to 0.5 only",
        "hyperparameter 'refresh_leaf' is not known here and goes to xgboost as it is",
    ]


def preprocessors(*sets):
    return {"preprocessors": [{"column_set": c, "transformers": t} for c, t in sets]}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"preprocessors": "all"}, "preprocessors must be 'none' or a list such as"),
        ({"preprocessors": [{"columns": ["a"]}]}, "unknown key 'columns', did you mean 'column_set'?"),
        (preprocessors((["a"], ["StandardScaller"])), "did you mean 'StandardScaler'?"),
        (preprocessors((["a"], [])), "transformers must be a list of names"),
        (preprocessors((["a", "*"], ["PCA"])), "it must be the only name in its set"),
        (preprocessors((["a"], ["Imputer"]), (["b", "a"], ["PCA"])), "column 'a' is in 2 column sets"),
        (preprocessors((["a"], ["PCA", "PCA"])), "PCA appears 2 times"),
        (
            preprocessors((["a"], ["StandardScaler", "MinMax"])),
            "MinMax undoes StandardScaler: choose one",
        ),
        (preprocessors((["a"], ["Imputer", "ImputerWithIndicator"])), "cannot be combined"),
        (preprocessors((["a"], ["OrdinalEncoder", "OneHotEncoder"])), "cannot be combined"),
        (preprocessors((["a"], ["MinMax", "OneHotEncoder"])), "OneHotEncoder reads the query's own values"),
        (
            preprocessors((["a"], ["Imputer", "DateTimeVectorizer"])),
            "DateTimeVectorizer reads the query's own dates",
        ),
        (preprocessors((["a"], ["TextVectorizer", "PCA"])), "TextVectorizer stands alone"),
        (preprocessors((["a"], ["Imputer", "TextStatistics"])), "TextStatistics reads the query's own texts"),
        (
            preprocessors((["a"], ["TextStatistics"]), (["a"], ["OneHotEncoder"])),
            "column 'a' is in 2 column sets",
        ),
        (
            {"preprocessors": [{"column_set": ["a"], "transformers": ["PCA"], "max_features": 5}]},
            "max_features belongs to a TextVectorizer, and the transformers are PCA",
        ),
        (
            {
                "preprocessors": [
                    {"column_set": ["a"], "transformers": ["TextVectorizer"], "terms": "letters"}
                ]
            },
            "terms 'letters' is not one of words, pairs, both",
        ),
        (preprocessors((["a"], ["PCA", "Imputer"])), "Imputer must come before PCA, which takes none"),
        (preprocessors((["a"], ["OneHotEncoder", "Imputer"])), "Imputer must come before OneHotEncoder"),
        (
            {**preprocessors((["t"], ["PCA"])), "settings": {"holdout": {"column": "t"}}},
            "'t' says which rows",
        ),
    ],
)
def test_bad_preprocessors(config, expected):
    found = problems(target="y", **config)
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize(
    "chain",
    [
        ["NumericPassthrough"],
        ["Imputer", "OneHotEncoder"],
        ["OneHotEncoder", "PCA", "StandardScaler"],
        ["OrdinalEncoder", "Imputer", "MinMax"],
        ["DateTimeVectorizer", "ImputerWithIndicator", "StandardScaler", "Normalizer", "PCA"],
        ["StandardScaler", "Imputer"],
    ],
)
def test_sensible_chains(chain):
    assert problems(target="y", **preprocessors((["a"], chain))) == []


def test_words_and_characters_of_a_text_may_be_read_side_by_side():
    both = (["a", "b"], ["TextStatistics", "StandardScaler"]), (["b"], ["TextVectorizer"])
    assert problems(target="y", **preprocessors(*both)) == []
    assert problems(target="y", **preprocessors(*both[::-1])) == []


def test_a_text_vectorizer_has_options_of_its_own():
    given = {"columnset": "a", "transformers": "textvectorizer", "max_features": "50", "Terms": "Pairs"}
    (item,) = ConfigReader(node(target="y", preprocessors=[given])).read().preprocessors
    assert item == ColumnSet(("a",), ("TextVectorizer",), 50, None, "pairs")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "config 'target' is required"),
        ({"target": 5}, "target must be a string, found int 5"),
        ({"target": "y", "settigns": {}}, "unknown config 'settigns', did you mean 'settings'?"),
        ({"target": "y", "team": "growth"}, "unknown config 'team' (keys of your own belong under 'meta')"),
        (
            {"target": "y", "settings": {"max_runtme": 3}},
            "unknown key 'max_runtme', did you mean 'max_runtime'?",
        ),
        (
            {"target": "y", "settings": "fast"},
            "settings must be a dict such as {max_runtime: 300}, found str 'fast'",
        ),
        (
            {"target": "y", "settings": {"holdout": 1.5}},
            "holdout must be a number from 0.01 to 0.9, found 1.5",
        ),
        (
            {"target": "y", "settings": {"holdout": "most"}},
            "or {time: sold_at, after: '2024-01-01'}, found str",
        ),
        ({"target": "y", "settings": {"holdout": {"time": "t", "before": 5}}}, "holdout has no 'before'"),
        ({"target": "y", "settings": {"holdout": {"time": "t"}}}, "holdout must be a fraction"),
        ({"target": "y", "settings": {"holdout": {"colum": "t"}}}, "did you mean 'column'?"),
        (
            {"target": "y", "settings": {"holdout": {"column": 3}}},
            "holdout: column must be the name of a column",
        ),
        ({"target": "y", "settings": {"holdout": {"column": "y"}}}, "holdout: 'y' is the target"),
        (
            {"target": "y", "settings": {"compute": "dask"}, "auto": False, "model_type": "mlp"},
            "and not model_type 'mlp': use 'compute: local'",
        ),
        (
            {"target": "y", "settings": {"compute": "dask"}, "preprocessors": "none"},
            "and not preprocessors: use 'compute: local'",
        ),
        (
            {"target": "y", "settings": {"compute": "dask"}, "source": "models:/m/1"},
            "and not source: use 'compute: local'",
        ),
        ({"target": "y", "settings": {"compute": "spark"}}, "compute 'spark' is not one of local, dask"),
        (
            {"target": "y", "settings": {"sql_tolerance": 1.5}},
            "settings: sql_tolerance must be a number from 0 to 1, found",
        ),
        (
            {"target": "y", "settings": {"sql_tolerance": 0.02}, "runtime": "native"},
            "'runtime: native' publishes none: leave it out, or use 'runtime: sql'",
        ),
        (
            {"target": "y", "settings": {"SQL_TOLERANCE": 0.02}, "runtime": "python"},
            "'runtime: python' publishes none",
        ),
        (
            {"target": "y", "settings": {"sql_tolerance": 0}, "auto": False, "model_type": "xgboost"},
            "this model is not searched for: leave it out, or use 'auto: true'",
        ),
        (
            {"target": "y", "settings": {"sql_tolerance": 0.1}, "source": "models:/m/1"},
            "this model is not searched for",
        ),
        (
            {"target": "y", "model_type": "forecast", "settings": {"horizon": 3, "sql_tolerance": 0.1}},
            "a forecast takes no 'sql_tolerance': its values are in the function",
        ),
        ({"target": "y", "settings": {"seed": 1.5}}, "seed must be a whole number from 0 to 4294967295"),
        (
            {"target": "y", "settings": {"max_cells": "many"}},
            "max_cells must be a whole number of at least 1, found str 'many'",
        ),
        ({"target": "y", "settings": {"refit": "yes"}}, "refit must be true or false"),
        (
            {"target": "y", "settings": {"keep_versions": 0}},
            "keep_versions must be a whole number of at least 1",
        ),
        (
            {"target": "y", "settings": {"max_trials": "inf"}},
            "max_trials must be a whole number of at least 1",
        ),
        (
            {"target": "y", "settings": {"max_runtime": "nan"}},
            "max_runtime must be a number of at least 1, found str 'nan'",
        ),
        (
            {"target": "y", "settings": {"max_runtime": float("inf")}},
            "max_runtime must be a number of at least 1, found inf",
        ),
        ({"target": "y", "gates": {"f1": ">= 1e999"}}, "f1 must be a comparison such as '>= 0.6'"),
        (
            {
                "target": "y",
                "auto": False,
                "model_type": "linear_learner",
                "hyperparameters": {"alpha": "inf"},
            },
            "hyperparameter 'alpha' must be finite, got 'inf'",
        ),
        ({"target": "y", "problem_type": "regresion"}, "did you mean 'regression'?"),
        ({"target": "y", "model_type": "xgbost"}, "did you mean 'xgboost'?"),
        (
            {"target": "y", "model_type": ["xgboost", "kmeans"]},
            "kmeans",
        ),
        ({"target": "y", "auto": False}, "'auto: false' needs a 'model_type'"),
        (
            {"target": "y", "auto": False, "model_type": ["xgboost", "linear_learner"]},
            "needs one 'model_type'",
        ),
        ({"target": "y", "auto": "maybe"}, "auto must be true or false"),
        ({"target": "y", "model_type": "mlp", "explain": True}, "use model_type xgboost or linear_learner"),
        ({"target": "y", "model_type": "mlp", "explain": "ON"}, "use model_type xgboost or linear_learner"),
        ({"target": "y", "objective": "f2"}, "objective 'f2' is not one of mse, accuracy, f1, f1_macro, auc"),
        ({"target": "y", "objective": "binary:logistic"}, "needs 'auto: false' and 'model_type: xgboost'"),
        (
            {"target": "y", "objective": "mse", "problem_type": "binary_classification"},
            "does not fit problem_type",
        ),
        ({"target": "y", "objective": "f1", "problem_type": "multiclass_classification"}, "does not fit"),
        ({"target": "y", "hyperparameters": "oops"}, "hyperparameters must be a dict"),
        (
            {"target": "y", "auto": False, "model_type": "xgboost", "hyperparameters": {"max_dept": 3}},
            "unknown hyperparameter 'max_dept' of xgboost, did you mean 'max_depth'?",
        ),
        (
            {"target": "y", "auto": False, "model_type": "xgboost", "hyperparameters": {"max_depth": "deep"}},
            "hyperparameter 'max_depth' must be a whole number, got 'deep'",
        ),
        ({"target": "y", "hyperparameters": {"max_depth": 3}}, "'hyperparameters' need 'auto: false'"),
        ({"target": "y", "runtime": "rust"}, "runtime 'rust' is not one of auto, sql, native, python"),
        ({"target": "y", "gates": ["f1"]}, "gates must be a dict such as {f1: '>= 0.6'}, found list"),
        (
            {"target": "y", "gates": {"acuracy": ">= 0.6"}},
            "unknown metric 'acuracy', did you mean 'accuracy'?",
        ),
        ({"target": "y", "gates": {"f1": "0.6"}}, "gates: f1 must be a comparison such as '>= 0.6'"),
        ({"target": "y", "gates": {"f1": ">= 0..6"}}, "gates: f1 must be a comparison such as '>= 0.6'"),
        (
            {"target": "y", "gates": {"f1": ">= 0.6", "severity": "high"}},
            "must be error or warn, found 'high'",
        ),
        ({"target": "y", "gates": {"f1": {"min": 0.6}}}, "{threshold: '>= 0.6', severity: warn}"),
        ({"target": "y", "promote": "if_worse"}, "promote 'if_worse' is not one of always, if_better"),
        (
            {"target": "y", "retrain": "sometimes"},
            "retrain must be one of on_change, always, never or {after",
        ),
        ({"target": "y", "retrain": {"after": "7 moons"}}, "a number of minutes, hours, days or weeks"),
        ({"target": "y", "function": "churn"}, "has the same name as the model's card view"),
        ({"target": "y", "function": "p" * 60}, "is too long"),
    ],
)
def test_bad_config(config, expected):
    found = problems(**config)
    assert len(found) == 1, found
    assert expected in found[0]


def test_all_problems_at_once():
    found = problems(problem_type="x", settings={"seed": -1, "nope": 1}, source="x", auto=3)
    assert len(found) == 6  # target, source, auto, problem_type, seed, nope


def test_manifest_names_model_and_file():
    manifest = SimpleNamespace(nodes={"a": node("a"), "b": node("b", target="y", runtime="rust")})
    found = check_manifest(manifest)
    assert found[0].startswith("a (models/a.sql): config 'target' is required")
    assert found[1].startswith("b (models/b.sql): runtime 'rust'")


def test_functions_and_relations_of_one_name():
    table = SimpleNamespace(
        name="orders",
        alias="orders",
        schema="ml",
        resource_type="model",
        config=SimpleNamespace(materialized="table"),
    )
    nodes = {
        "t": table,
        "a": node("a", target="y", function="f"),
        "b": node("b", target="y", function="f"),
        "c": node("c", target="y", function="orders"),
        "d": node("d", schema="other", target="y", function="f"),
    }
    assert [text.split(": ", 1)[1] for text in check_manifest(SimpleNamespace(nodes=nodes))] == [
        "function 'f' is already the function of model a",
        "function 'orders' has the same name as the relation of orders",
    ]


@pytest.mark.parametrize("functions", [("f", "f_interval"), ("f_interval", "f"), ("f_explain", "f")])
def test_functions_beside_the_prediction_are_names_too(functions):
    nodes = {name: node(name, target="y", function=f) for name, f in zip("ab", functions, strict=True)}
    [found] = check_manifest(SimpleNamespace(nodes=nodes))
    long = max(functions, key=len)
    assert f"function '{functions[1]}' and function '{functions[0]}' of model a" in found
    assert f"would both take the name '{long}'" in found


def test_functions_that_only_begin_alike_are_apart():
    names = ("f", "f__interval", "f_intervals", "of_interval")
    nodes = {f"m{i}": node(f"m{i}", target="y", function=f) for i, f in enumerate(names)}
    assert check_manifest(SimpleNamespace(nodes=nodes)) == []


def test_gates_promotion_and_retraining_are_read():
    spec = ConfigReader(
        node(
            target="y",
            gates={
                "F1Macro": ">= .6",
                "log_loss": {"threshold": "< 4e-1", "severity": "error"},
                "severity": "warn",
            },
            retrain={"after": "7 days"},
            settings={"keep_versions": 9},
        )
    ).read()
    assert spec.gates == (Gate("f1_macro", ">=", 0.6, "warn"), Gate("log_loss", "<", 0.4, "error"))
    assert spec.retrain == 7 * 86_400
    assert spec.settings.keep_versions == 9


def in_meta(found, **direct):
    """A node whose config has keys under `meta: create_model`; dbt keeps meta apart from keys it doesn't know."""
    made = node(**direct)
    made.config.meta = {"create_model": found, "owner": "somebody"}
    return made


def test_all_keys_may_stand_under_meta():
    config = {
        "target": "y",
        "auto": False,
        "model_type": "xgboost",
        "settings": {"seed": 7},
        "runtime": "sql",
    }
    spec = ConfigReader(in_meta(config)).read()
    assert spec == ConfigReader(node(**config)).read()
    assert ConfigReader(in_meta({"settings": {"seed": 7}}, target="y")).read().settings.seed == 7
    assert ConfigReader(in_meta({"function": "f"}, target="y")).read().function == "f"
    assert ConfigReader(in_meta({"target": "y"}, target="y")).read().target == "y"


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({"target": "z"}, "config 'target' is given twice, as 'y' and under 'meta: create_model' as 'z'"),
        ({"settigns": {}}, "unknown config 'settigns' under 'meta: create_model', did you mean 'settings'?"),
        ({"grants": {"execute": ["a"]}}, "'grants' is dbt's own key: put it beside 'meta', not under it"),
        ("target", "'meta: create_model' must be a dict such as {target: churn}, found 'target'"),
    ],
)
def test_what_is_wrong_under_meta_is_named(found, problem):
    reader = ConfigReader(in_meta(found, target="y"))
    reader.read()
    assert reader.problems == [problem]


@pytest.mark.parametrize(
    ("found", "shown"), [(None, "null"), ([None], "null"), (["a", 5], "5"), ([" "], "' '"), ({}, "{}")]
)
def test_grants_are_to_roles(found, shown):
    [problem] = privilege_problems({"execute": found})
    assert problem.startswith(f"grants: execute must be a role or a list of roles, found {shown}: write []")
    assert privilege_problems({"execute": [], "select": "a", "insert": ["a", "b"]}) == []


@pytest.mark.parametrize(
    ("config", "lacking"),
    [
        ({"target": "y", "problem_type": "regression", "gates": {"f1": "> 0.5"}}, "f1; one for regression can have"),
        ({"target": "y", "objective": "mse", "gates": {"auc": "> 0.5"}}, "auc; one for regression can have"),
        ({"target": "y", "objective": "f1_macro", "gates": {"r2": "> 0.5"}}, "r2; one for classification can have"),
        (
            {
                "target": "y", "auto": False, "model_type": "xgboost", "objective": "binary:hinge",
                "gates": {"log_loss": "< 0.5"},
            },
            "log_loss; one for classification can have",
        ),
        ({"model_type": "kmeans", "auto": False, "gates": {"mse": "< 1"}}, "mse; one for clustering can have inertia"),
        (
            {"target": "y", "model_type": "forecast", "settings": {"horizon": 3}, "gates": {"mse": "< 1"}},
            "mse; one for forecasting can have mase",
        ),
    ],
)  # fmt: skip
def test_gates_that_can_never_be_met_are_refused_while_dbt_parses(config, lacking):
    assert any(text.startswith(f"gates: this model has no {lacking}") for text in problems(**config))


def test_coverage_needs_two_percentiles():
    config = {"target": "y", "model_type": "forecast", "gates": {"coverage": ">= 0.7"}}
    refused = problems(**config, settings={"horizon": 3, "percentiles": "0.5,mean"})
    assert any(text.startswith("gates: 'coverage' is of the rows between") for text in refused)
    accepted = problems(**config, settings={"horizon": 3, "percentiles": "0.1,0.9"})
    assert not any("coverage" in text for text in accepted)


def test_gates_of_a_target_that_decides_itself_are_left_to_the_training():
    assert problems(target="y", gates={"f1": "> 0.5", "r2": "> 0.5"}) == []
