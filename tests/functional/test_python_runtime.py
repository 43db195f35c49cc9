"""Functions in runtime python on Debian's server: what they answer, and what they say when they can't."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pickle
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg2
import psycopg2.extensions
import pytest
import sklearn
from postgres_ml.components.estimators import BlendedClassifier, LabelEncodedClassifier
from postgres_ml.components.neural_network import NetworkClassifier
from postgres_ml.components.stacking import OutOfFoldScores
from postgres_ml.contract.column import Column
from postgres_ml.contract.exceptions import ArtifactError
from postgres_ml.contract.model import ArtifactFile
from postgres_ml.evaluate.intervals import Interval
from postgres_ml.generate import GeneratedFunctions, create_statement, generate_python
from postgres_ml.publish import server_python
from postgres_ml.publish.interval import interval_functions
from postgres_ml.publish.runtime import ChosenRuntime
from postgres_ml.serve.artifact import Artifact, pack, zipped
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from support.debian_server import SITE_PACKAGES
from support.training import make_job, make_spec
from xgboost import XGBClassifier, XGBRegressor

pytestmark = pytest.mark.xdist_group("debian")
# names that PL/Python and Python use themselves, and one that is no identifier
COLUMNS = (
    Column("GD", "double precision", "number"),
    Column("plpy", "numeric", "number"),
    Column("exec", "boolean", "boolean"),
    Column('it\'s "x"', "text", "text"),
)
N_ROWS = 300


def drawn(seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "GD": random.normal(size=N_ROWS),
            "plpy": random.integers(0, 100, N_ROWS) / 4,
            "exec": random.integers(0, 2, N_ROWS).astype(float),
            'it\'s "x"': pd.Series(random.choice(["a", "b", "Süd", ""], N_ROWS), dtype=object),
        }
    )


def classifier(frame: pd.DataFrame) -> Pipeline:
    """One that no scoring program expresses, behind encoders that need frames, with a class of our own."""
    columns = ColumnTransformer(
        [
            ("numbers", "passthrough", ["GD", "plpy", "exec"]),
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ['it\'s "x"']),
        ]
    )
    target = np.where(frame["GD"] + frame["exec"] > 0.5, "yes $$ 'é'", "no")
    return Pipeline([("columns", columns), ("estimate", LabelEncodedClassifier(GaussianNB()))]).fit(
        frame, target
    )


def stacked(frame: pd.DataFrame) -> Pipeline:
    """One with classes of ours from several modules, which the server gets with the artifact."""
    encode = ColumnTransformer([("numbers", StandardScaler(), ["GD", "plpy", "exec"])])
    trees = make_pipeline(clone(encode), XGBClassifier(n_estimators=4, n_jobs=1))
    scores = OutOfFoldScores([("trees", trees)], n_folds=2, random_state=0, n_jobs=2)
    networks = [(str(seed), NetworkClassifier((4,), n_epochs=60, random_state=seed)) for seed in range(2)]
    pipeline = Pipeline(
        [
            ("columns", FeatureUnion([("columns", encode), ("scores", scores)])),
            ("estimator", BlendedClassifier(networks, [1.0, 1.0])),
        ]
    )
    target = np.where(frame["GD"] + frame["exec"] > 0.5, "yes", "no")
    return Pipeline([("estimator", LabelEncodedClassifier(pipeline))]).fit(frame, target)


class Published:
    """An artifact in a catalog, and its functions in a schema."""

    def __init__(self, connection: psycopg2.extensions.connection, schema: str) -> None:
        self.cursor, self.schema = connection.cursor(), schema
        self.cursor.execute(
            "create schema if not exists postgres_ml; "
            "create table if not exists postgres_ml.artifact (sha256 text primary key, content bytea not null)"
        )

    def store(self, artifact: Artifact) -> None:
        self.cursor.execute(
            "insert into postgres_ml.artifact (sha256, content) values (%s, %s) "
            "on conflict (sha256) do update set content = excluded.content",
            (artifact.sha256, psycopg2.Binary(artifact.content)),
        )

    def create(
        self, sha256: str, columns: tuple[Column, ...], returns: str, **changes: object
    ) -> GeneratedFunctions:
        options = {"python_path": SITE_PACKAGES, "details": "probabilities", "est_rows_per_s": 1, **changes}
        generated = generate_python(columns, returns, self.schema, "predict_it", sha256=sha256, **options)
        for body in generated.functions:
            self.cursor.execute(create_statement(body, self.schema))
        return generated

    def ask(self, query: str, parameters: tuple[object, ...] | None = None) -> list[tuple[object, ...]]:
        self.cursor.execute(f'set search_path to "{self.schema}"')
        self.cursor.execute(query, parameters)
        return self.cursor.fetchall()


@pytest.fixture
def published(debian_connection: psycopg2.extensions.connection, debian_schema: str) -> Published:
    return Published(debian_connection, debian_schema)


def packed(pipeline: Pipeline, frame: pd.DataFrame) -> Artifact:
    return pack(pipeline, COLUMNS, "text", pipeline.classes_.tolist(), frame)


def call(function: str, row: pd.Series) -> tuple[str, tuple[object, ...]]:
    values = tuple(None if value != value else value for value in row.tolist())
    return f"select {function}(%s, %s, %s::int::boolean, %s)", tuple(
        int(value) if name == "exec" else value.item() if hasattr(value, "item") else value
        for name, value in zip(row.index, values, strict=True)
    )


class TestAnswers:
    def test_rows_probabilities_and_batches_are_the_pipelines_own(self, published: Published) -> None:
        frame = drawn()
        pipeline = classifier(frame)
        artifact = packed(pipeline, frame)
        published.store(artifact)
        published.create(artifact.sha256, COLUMNS, "text")
        fresh = drawn(1).head(40)
        fresh.loc[3, 'it\'s "x"'] = "never seen"
        expected = pipeline.predict(fresh).tolist()
        got = [published.ask(*call("predict_it", row))[0][0] for _, row in fresh.iterrows()]
        assert got == expected
        assert set(expected) == {"yes $$ 'é'", "no"}
        [(answer,)] = published.ask(*call("predict_it_probabilities", fresh.loc[0]))
        own = dict(zip(pipeline.classes_, pipeline.predict_proba(fresh.head(1))[0], strict=True))
        assert dict(zip(answer["labels"], answer["probabilities"], strict=True)) == own
        assert answer["probabilities"] == sorted(answer["probabilities"], reverse=True)

    def test_a_stack_is_the_pipelines_own(self, published: Published) -> None:
        frame = drawn()
        pipeline = stacked(frame)
        artifact = packed(pipeline, frame)
        published.store(artifact)
        published.create(artifact.sha256, COLUMNS, "text")
        fresh = drawn(1).head(20)
        got = [published.ask(*call("predict_it", row))[0][0] for _, row in fresh.iterrows()]
        assert got == pipeline.predict(fresh).tolist() and len(set(got)) == 2

    def test_what_the_pipeline_refuses_is_null(self, published: Published) -> None:
        frame = drawn()
        artifact = packed(classifier(frame), frame)
        published.store(artifact)
        published.create(artifact.sha256, COLUMNS, "text")
        for row in (
            "null, 1, true, 'a'",
            "'NaN', 1, true, 'a'",
            "'-Infinity', 1, true, 'a'",
            "null, null, null, null",
        ):
            assert published.ask(f"select predict_it({row}), predict_it_probabilities({row})") == [
                (None, None)
            ]
        numbers = "||".join(
            f"float8send({value})" for value in ("1", "2", "1", "'NaN'", "2", "0", "3", "2", "1")
        )
        [(answers,)] = published.ask(f"select _predict_it__batch({numbers}, array['a', null, 'b'])")
        assert answers[1] is None and None not in (answers[0], answers[2])

    def test_numbers_alone_go_by_arrays(self, published: Published) -> None:
        frame = drawn()[["GD", "plpy"]]
        pipeline = KNeighborsRegressor(n_jobs=2).fit(frame, frame["GD"] * 3)
        artifact = pack(pipeline, COLUMNS[:2], "double precision", None, frame)
        published.store(artifact)
        published.create(artifact.sha256, COLUMNS[:2], "double precision", details=None)
        assert pipeline.n_jobs == 2  # the packed copy has one thread, the caller's pipeline stays
        rows = frame.head(20)
        got = [
            published.ask("select predict_it(%s, %s)", tuple(row))[0][0] for row in rows.to_numpy().tolist()
        ]
        assert got == pipeline.predict(rows).tolist()

    def test_bounds_are_around_what_the_pipeline_says(self, published: Published) -> None:
        frame = drawn()[["GD", "plpy"]]
        pipeline = KNeighborsRegressor().fit(frame, frame["GD"] * 3)
        artifact = pack(pipeline, COLUMNS[:2], "double precision", None, frame)
        published.store(artifact)
        generated = published.create(artifact.sha256, COLUMNS[:2], "double precision", details=None)
        spec = make_spec("target", name="it", schema=published.schema, interval=0.8)
        job = make_job(Path(), COLUMNS[:2], COLUMNS[0], spec=spec)
        scale = Pipeline([("estimator", XGBRegressor(n_estimators=5, max_depth=2))]).fit(
            frame, abs(frame["GD"])
        )
        interval = Interval(0.8, 1.7, scale, 0.1, 2.5, 2.0, 100, 0.8, 3.0)
        for body in interval_functions(interval, job, ChosenRuntime("python", "", generated)):
            published.cursor.execute(create_statement(body, published.schema))
        rows = frame.head(20)
        for row, predicted, error in zip(
            rows.to_numpy().tolist(),
            pipeline.predict(rows).tolist(),
            scale.predict(rows).tolist(),
            strict=True,
        ):
            [(found,)] = published.ask("select predict_it_interval(%s, %s)", tuple(row))
            assert (found["lower"], found["upper"]) == interval.bounds(predicted, error)
        assert published.ask("select predict_it_interval('NaN', 1)") == [(None,)]
        volatility = "select provolatile from pg_proc where proname = 'predict_it_interval'"
        assert published.ask(volatility) == [("s",)], "no more than what it calls"

    def test_a_caller_needs_no_right_on_the_catalog(self, published: Published) -> None:
        frame = drawn()
        artifact = packed(classifier(frame), frame)
        published.store(artifact)
        published.create(artifact.sha256, COLUMNS, "text")
        published.cursor.execute(
            f'create role caller; grant usage on schema "{published.schema}" to caller; set role caller'
        )
        try:
            assert published.ask("select predict_it(1, 2, true, 'a')")[0][0]
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                published.ask("select content from postgres_ml.artifact")
        finally:
            published.cursor.execute("reset role; drop owned by caller; drop role caller")


class TestFailures:
    """Each ends the statement with one clear error, and the session goes on."""

    @pytest.fixture
    def artifact(self, published: Published) -> Artifact:
        frame = drawn()
        artifact = packed(classifier(frame), frame)
        published.store(artifact)
        return artifact

    def fails(self, published: Published, artifact: Artifact, *texts: str) -> None:
        published.create(artifact.sha256, COLUMNS, "text")
        with pytest.raises(psycopg2.Error) as caught:
            published.ask("select predict_it(1, 2, true, 'a')")
        for text in texts:
            assert text in str(caught.value)
        assert published.ask("select 1") == [(1,)]

    def test_artifact_is_gone(self, published: Published, artifact: Artifact) -> None:
        published.cursor.execute("delete from postgres_ml.artifact where sha256 = %s", (artifact.sha256,))
        self.fails(published, artifact, f"has no artifact {artifact.sha256}", "Build its dbt model again")

    def test_digest_differs(self, published: Published, artifact: Artifact) -> None:
        published.cursor.execute(
            "update postgres_ml.artifact set content = content || 'x'::bytea where sha256 = %s",
            (artifact.sha256,),
        )
        self.fails(published, artifact, "has been changed: its digest differs", "Nothing of it was run")

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"python": "3.6"}, "Python is {}.{}, and was 3.6".format(*sys.version_info[:2])),
            ({"libraries": {"sklearn": "0.1"}}, f"sklearn is {sklearn.__version__}, and was 0.1"),
        ],
        ids=["python", "library"],
    )
    def test_the_server_was_upgraded(
        self, published: Published, artifact: Artifact, change: dict[str, object], text: str
    ) -> None:
        content = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(artifact.content)) as before,
            zipfile.ZipFile(content, "w") as after,
        ):
            for name in before.namelist():
                about = before.read(name)
                if name == "about.json":
                    about = json.dumps({**json.loads(about), **change}).encode()
                after.writestr(name, about)
        digest = hashlib.sha256(content.getvalue()).hexdigest()
        older = dataclasses.replace(artifact, content=content.getvalue(), sha256=digest)
        published.store(older)
        self.fails(
            published, older, "not the one that the model was published for", text, "build its dbt model"
        )

    def test_pickle_that_names_more_than_when_it_was_packed(
        self, published: Published, artifact: Artifact
    ) -> None:
        class Code:
            def __reduce__(self) -> tuple[object, ...]:
                import os

                return os.system, ("touch /tmp/never",)

        about = json.loads(zipfile.ZipFile(io.BytesIO(artifact.content)).read("about.json"))
        hostile = zipped({**about, "encoded": False}, {"pipeline.pickle": pickle.dumps(Code())}, {"numpy"})
        published.store(hostile)
        self.fails(published, hostile, "the pickle names posix.system")

    def test_library_is_not_on_the_server(self, published: Published, artifact: Artifact) -> None:
        published.create(artifact.sha256, COLUMNS, "text", python_path="/nowhere")
        with pytest.raises(psycopg2.Error, match="needs a library that the server's Python lacks"):
            published.ask("select predict_it(1, 2, true, 'a')")


class TestPublication:
    """The server's Python is compared with the training's before anything is stored."""

    PYTHON = "{}.{}".format(*sys.version_info[:2])

    def refusal(self, published: Published, path: str, modules: dict[str, str], python: str = PYTHON) -> str:
        with pytest.raises(ArtifactError) as caught:
            server_python.check(published.cursor, ArtifactFile("", "", python, modules), path)
        return str(caught.value)

    def test_what_is_the_same_passes(self, published: Published) -> None:
        artifact = ArtifactFile(
            "", "", self.PYTHON, {"sklearn": sklearn.__version__, "numpy": np.__version__}
        )
        server_python.check(published.cursor, artifact, SITE_PACKAGES)

    def test_another_minor_version_of_python(self, published: Published) -> None:
        message = self.refusal(published, SITE_PACKAGES, {}, python="3.6")
        assert f"the server's Python is {self.PYTHON}." in message and "made with 3.6" in message

    def test_another_version_of_a_library_and_none(self, published: Published, tmp_path: Path) -> None:
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(0o755)  # the server runs as another user
        (tmp_path / "xgboost.py").write_text("__version__ = '1.0.0'\n")
        modules = {"xgboost": "3.2.0", "no_such_library": "", "nor_this": "2.0"}
        message = self.refusal(published, str(tmp_path), modules)
        assert "xgboost is 1.0.0 on the server, 3.2.0 here" in message
        assert "no_such_library is missing (needed: any version)" in message
        assert "nor_this is missing (needed: 2.0)" in message
        assert "Install the same versions on the server" in message


def test_equal_pipelines_make_equal_artifacts() -> None:
    frame = drawn()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second = (packed(classifier(frame), frame) for _ in range(2))
    assert first == second
    assert dataclasses.asdict(first)["modules"]["numpy"] == np.__version__
