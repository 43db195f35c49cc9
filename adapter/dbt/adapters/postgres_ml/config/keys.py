"""The config of a create_model as one table.

It is what the config is checked by, what docs/configuration.md's tables are written from (`document`), and
what the JSON schema for editors is made of (`json_schema`). A new key is one row here, one field of
`postgres_ml.contract.config`, which holds its default, and one run of `make docs-tables`.

The vocabulary follows Amazon Redshift ML's CREATE MODEL clause by clause.
"""

from __future__ import annotations

from dbt.adapters.postgres_ml.config import forecast
from dbt.adapters.postgres_ml.config.external import Arguments, Source, SqlType, Url
from dbt.adapters.postgres_ml.config.holdout import Holdout
from dbt.adapters.postgres_ml.config.hyperparameters import Hyperparameters
from dbt.adapters.postgres_ml.config.kinds import Boolean, Bytes, Choice, Choices, Names, Number, Text
from dbt.adapters.postgres_ml.config.lifecycle import Gates, Retrain
from dbt.adapters.postgres_ml.config.objectives import AUTO_OBJECTIVES, XGBOOST_OBJECTIVES
from dbt.adapters.postgres_ml.config.preprocessors import Preprocessors
from dbt.adapters.postgres_ml.config.section import Key, Section

from postgres_ml.contract.config import Endpoint, Settings, TrainingSpec

#: what auto compares
AUTO_MODEL_TYPES = TrainingSpec.model_types
#: without a target; never compared with others
UNSUPERVISED = {"kmeans": "clustering", "isolation_forest": "anomaly_detection"}
#: by itself a scorecard that somebody wants to read, so that auto is off unless it is asked for
ADDITIVE = "additive"
#: that one names without auto, with hyperparameters of its own
EXPLICIT_MODEL_TYPES = (*AUTO_MODEL_TYPES, *UNSUPERVISED)
MODEL_TYPES = (*EXPLICIT_MODEL_TYPES, forecast.MODEL_TYPE)

#: Redshift's own; accepted, because configs are carried over, and named in one line when the model is built
REDSHIFT_SETTINGS = ("s3_bucket", "kms_key_id", "s3_garbage_collect", "tags", "iam_role")

SETTINGS = Section(
    (
        Key(
            "max_cells",
            Number(1, is_whole=True),
            "the number of cells (rows x columns) to train on at most",
            "If there are more, the database samples rows by a hash of their content and keeps every class.",
            default=Settings.max_cells,
            redshift="`MAX_CELLS`",
        ),
        Key(
            "max_memory",
            Bytes(100_000_000),
            "the memory that the training process may take",
            "Rows that take more are read from disk, in parts.",
            default_words="60 % of what the machine or its cgroup has",
            see="scale.md#train-on-more-rows-than-memory-holds",
        ),
        Key(
            "max_runtime",
            Number(1),
            "the time in seconds for search, refit and evaluation at most",
            "The best model found by then is kept.",
            default=Settings.max_runtime,
            redshift="`MAX_RUNTIME`",
        ),
        Key(
            "max_trials",
            Number(1, is_whole=True),
            "the number of candidates that the search compares at most",
            default=Settings.max_trials,
            default_words="no limit besides `max_runtime`",
        ),
        Key(
            "sql_tolerance",
            Number(0, 1),
            "the share of the loss that the search may give up for a model that SQL computes much faster",
            "Only where the function is SQL; `0` gives up nothing.",
            default=Settings.sql_tolerance,
            see="training.md#where-the-function-is-sql",
        ),
        Key(
            "holdout",
            Holdout(),
            "the rows that are held out to evaluate the model on",
            "A column that says so is not a feature.",
            default=Settings.holdout,
            see="#hold-out",
        ),
        Key(
            "refit",
            Boolean(),
            "whether the chosen pipeline is fitted again on all rows before it is published",
            "The scores stay those of the hold-out.",
            default=Settings.refit,
        ),
        Key(
            "min_rows",
            Number(10, is_whole=True),
            "the number of rows to train on at least",
            "Fewer rows stop the build.",
            default=Settings.min_rows,
        ),
        Key(
            "keep_versions",
            Number(1, is_whole=True),
            "the number of versions kept for a rollback",
            default=Settings.keep_versions,
        ),
        Key(
            "seed",
            Number(0, 2**32 - 1, is_whole=True),
            "the seed of all random numbers",
            default=Settings.seed,
        ),
        Key(
            "horizon",
            Number(1, 10_000, is_whole=True),
            "the number of steps that a forecast tells",
            default_words="required for `forecast`",
            redshift="`HORIZON`",
            see="forecasts.md",
        ),
        Key(
            "frequency",
            forecast.Frequency(),
            "the step between two rows of a series",
            default_words="found in the times",
            redshift="`FREQUENCY`",
            see="forecasts.md#time",
        ),
        Key(
            "percentiles",
            forecast.Percentiles(),
            "what a forecast tells of each step",
            default_words="`'0.1,0.5,0.9,mean'`",
            redshift="`PERCENTILES`",
            see="forecasts.md",
        ),
        Key(
            "compute",
            Choice(("local", "dask")),
            "where the rows are while a model trains",
            "`local` is a process beside dbt, `dask` the memory of Dask's workers.",
            default=Settings.compute,
            see="scale.md#train-on-several-machines",
        ),
    ),
    "{max_runtime: 300}",
    ignored=REDSHIFT_SETTINGS,
)

ENDPOINT = Section(
    (
        Key(
            "url",
            Url(),
            "the address of the service",
            "For `mlflow` with `/invocations` or without.",
            is_required=True,
        ),
        Key(
            "protocol",
            Choice(("mlflow", "kserve", "sagemaker")),
            "the protocol of the service",
            "`mlflow` is MLflow's scoring server (`/invocations`), `kserve` the Open Inference Protocol v2, "
            "`sagemaker` SageMaker's runtime (CSV in and out, signed requests).",
            default=Endpoint.protocol,
        ),
        Key(
            "timeout",
            Number(0.1, 3600),
            "the time in seconds that a request may take",
            "It covers the connection, the whole answer, further attempts and the waits between them.",
            default=Endpoint.timeout,
        ),
        Key(
            "max_batch_rows",
            Number(1, 1_000_000, is_whole=True),
            "the number of rows in one request of `predict_table` at most",
            "`predict` sends one row a request.",
            default=Endpoint.max_batch_rows,
        ),
        Key(
            "retries",
            Number(0, 10, is_whole=True),
            "the number of attempts after the first, for errors that may pass",
            "Each waits twice as long as the one before.",
            default=Endpoint.retries,
        ),
        Key(
            "model",
            Text(),
            "the name of the model on the server (`kserve`), or the target model of a multi-model endpoint "
            "(`sagemaker`)",
            default_words="required for `kserve`",
        ),
        Key(
            "secret",
            Text(),
            "the name of the row of `postgres_ml.endpoint` that holds the service's credentials",
            default_words="found by the url",
        ),
        Key("region", Text(), "the AWS region", default_words="found in the url"),
    ),
    "{url: 'https://host/invocations'}",
    shorthand="url",
)

MODEL = Section(
    (
        Key(
            "target",
            Text(),
            "the column of the query to predict",
            values="a column of type text, boolean or number; none for `kmeans` and `isolation_forest`; a "
            "number for `forecast`",
            default_words="required; optional with `source`, `endpoint` or a model in Python",
            redshift="`TARGET`",
        ),
        Key(
            "weight",
            Text(),
            "the column of the query that says how much each row counts, in training and scores",
            "It is not a feature. Not for `kmeans`, `isolation_forest` and `forecast`, nor beside `source` "
            "or `endpoint`.",
            values="a column of positive numbers",
            default_words="none: all rows count alike",
            see="training.md#weights",
        ),
        Key(
            "function",
            Text(),
            "the name of the prediction function",
            values="a SQL identifier",
            default_words="`predict_<model>`",
            redshift="`FUNCTION`",
        ),
        Key(
            "auto",
            Boolean(),
            "whether a search chooses everything that is not given",
            "With `false` the model is `model_type` with `hyperparameters`, and nothing is searched.",
            values="`true`, `false` (or `on`, `off`)",
            default=TrainingSpec.auto,
            default_words="`true`; `false` for `additive` alone, `kmeans` and `isolation_forest`",
            redshift="`AUTO ON`, `AUTO OFF`",
        ),
        Key(
            "model_type",
            Choices(MODEL_TYPES),
            "the model type, or with `auto: true` a list of the types that the search compares",
            "`kmeans`, `isolation_forest` and `forecast` are never compared with others.",
            default_words=", ".join(f"`{name}`" for name in AUTO_MODEL_TYPES),
            redshift="`MODEL_TYPE`",
        ),
        Key(
            "problem_type",
            Choice(("regression", "binary_classification", "multiclass_classification")),
            "what is predicted: a number, one of two classes, or one of several classes",
            default_words="from the objective, else from the target's type and values",
            redshift="`PROBLEM_TYPE`",
        ),
        Key(
            "objective",
            Choice(
                (*AUTO_OBJECTIVES, *forecast.OBJECTIVES, *XGBOOST_OBJECTIVES),
                spellings=(("f1macro", "f1_macro"), *forecast.SPELLINGS),
            ),
            "the metric that models are compared and judged by; for xgboost without `auto` also its training "
            "objective",
            values=", ".join(f"`{name}`" for name in AUTO_OBJECTIVES)
            + " (or `F1Macro`); for xgboost without `auto` one of [its own](#objectives-of-xgboost); for "
            + "`forecast` "
            + ", ".join(f"`{name}`" for name in forecast.OBJECTIVES),
            default_words="`mse`, `f1` or `accuracy`, by problem type; `mase` for `forecast`",
            redshift="`OBJECTIVE`",
        ),
        Key(
            "time",
            Text(),
            "the column that orders the rows of a forecast",
            values="a column of type date or timestamp, with time zone or without",
            default_words="the only such column of the query",
            see="forecasts.md#time",
        ),
        Key(
            "series",
            Names(),
            "the columns that tell the series of a forecast apart",
            default_words="all other columns, if they are texts, whole numbers or booleans",
            see="forecasts.md#the-query",
        ),
        Key(
            "preprocessors",
            Preprocessors(),
            "how each set of columns is transformed before it goes into the model",
            default_words="chosen by the search; without `auto` the least that the model needs",
            redshift="`PREPROCESSORS`",
            see="#preprocessors",
        ),
        Key(
            "hyperparameters",
            Hyperparameters(),
            "the hyperparameters of the model",
            "Only with `auto: false`; a search chooses its own.",
            default_words="the library's",
            redshift="`HYPERPARAMETERS`",
            see="#hyperparameters",
        ),
        Key(
            "settings",
            SETTINGS,
            "limits of the training, and which rows are held out",
            redshift="`SETTINGS`",
            see="#settings",
        ),
        Key(
            "runtime",
            Choice(("auto", "sql", "native", "python")),
            "how the function computes predictions",
            "`auto` takes the first of native, sql and python that the server has and that can express the "
            "model.",
            default=TrainingSpec.runtime,
            see="runtimes.md",
        ),
        Key(
            "explain",
            Boolean(),
            "whether `<function>_explain` is published too, which returns the SHAP values of one row",
            default=TrainingSpec.explain,
            see="show-model.md",
        ),
        Key(
            "interval",
            Number(0.5, 0.999),
            "the share of rows whose true value lies between the bounds that `<function>_interval` returns",
            "Only for a regression; classifiers have `predict_probabilities`.",
            default_words="none: no such function",
            see="intervals.md",
        ),
        Key(
            "gates",
            Gates(),
            "the conditions on the hold-out's metrics that a new version has to meet to be published",
            default_words="none",
            see="#gates",
        ),
        Key(
            "promote",
            Choice(("always", "if_better")),
            "whether a new version is always published, or only if it scores better than the serving version "
            "on the same rows",
            default=TrainingSpec.promote,
            see="lifecycle.md",
        ),
        Key(
            "reindex",
            Boolean(),
            "whether a new version reindexes the indexes that call the function, in the transaction that "
            "publishes it",
            "With `false` a warning names them and the statement to run.",
            default=TrainingSpec.reindex,
            see="lifecycle.md#what-keeps-old-predictions",
        ),
        Key(
            "retrain",
            Retrain(),
            "when `dbt build` trains the model again",
            default=TrainingSpec.retrain,
            see="#retraining",
        ),
        Key(
            "source",
            Source(),
            "where a model that was trained elsewhere is",
            "It is published without training.",
            default_words="train one",
            redshift="`FROM 'job'` or an S3 path",
            see="bring-your-own-model.md",
        ),
        Key(
            "trust",
            Boolean(),
            "whether a `source` may be loaded even if that can run code",
            "A pickle that names foreign types can, and so can every MLflow pyfunc.",
            default=TrainingSpec.trust,
            see="bring-your-own-model.md",
        ),
        Key(
            "endpoint",
            ENDPOINT,
            "the service that predicts",
            "The function calls it.",
            values="a [dict](#endpoint), or the url alone",
            default_words="none",
            redshift="`SAGEMAKER 'endpoint'`",
            see="bring-your-own-model.md#a-service",
        ),
        Key(
            "arguments",
            Arguments(),
            "the names and types of the function's arguments",
            "Only for a model made elsewhere or in Python.",
            default_words="the query's columns, or MLflow's signature",
            redshift="`FUNCTION f (types)`",
        ),
        Key(
            "returns",
            SqlType(),
            "the SQL type of the prediction",
            "Only for a model made elsewhere.",
            default_words="the target's type, or MLflow's signature; required with `endpoint`",
            redshift="`RETURNS type`",
        ),
    ),
    "{target: churn}",
)
