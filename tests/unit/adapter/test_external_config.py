"""The keys of models made elsewhere: what is accepted, and what is said about the rest."""

import pytest
from dbt.adapters.postgres_ml.build.external import content_digest, moves
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import Endpoint

from tests.support.model_config import ConfigReader, node, problems

ENDPOINT = {"url": "https://models.example/invocations"}


def test_source_needs_no_target():
    spec = ConfigReader(node(source="models:/churn@champion", trust=True)).read()
    assert (spec.source, spec.trust, spec.target) == ("models:/churn@champion", True, None)


@pytest.mark.parametrize(
    "source",
    [
        *("models:/churn/3", "models:/churn/latest", "models:/churn/Production", "models:/a b.c@champion"),
        *("models:/m-0123456789abcdef0123456789abcdef", "runs:/0123/model", "mlflow-artifacts:/1/2/model"),
        *("s3://bucket/model", "gs://bucket/a.b/model", "dbfs:/models/churn", "file:///srv/models/churn"),
        *("ml/churn", "ml/churn/", "/srv/models/churn", "ml/churn.v2.joblib", "C:/models/churn.onnx"),
    ],
)
def test_every_form_of_a_source(source):
    assert ConfigReader(node(source=source)).read().source == source


@pytest.mark.parametrize(
    ("source", "may_move"),
    [
        *(("models:/churn/3", False), ("models:/m-01ab", False)),
        *(("models:/churn/latest", True), ("models:/churn@v1", True), ("models:/churn/Staging", True)),
        *(("runs:/01ab/model", False), ("s3://bucket/model", False)),
    ],
)
def test_which_names_may_mean_another_version_tomorrow(source, may_move):
    assert moves(source) is may_move


def test_a_folder_changes_with_its_files_and_their_names(tmp_path):
    seen = {content_digest(tmp_path / "model")}
    folder = tmp_path / "model" / "data"
    folder.mkdir(parents=True)
    for name, content in (("a", b"1"), ("a", b"2"), ("b", b"2")):
        (folder / name).write_bytes(content)
        seen.add(content_digest(tmp_path / "model"))
    assert len(seen) == 4


@pytest.mark.parametrize(
    "found",
    [
        'spend float8, "state" varchar(2), vip bool',
        [{"spend": "float"}, {"state": "varchar"}, {"vip": "boolean"}],
    ],
)
def test_arguments_as_text_and_as_list(found):
    spec = ConfigReader(node(source="a.ubj", arguments=found, returns="int4")).read()
    assert spec.arguments == (
        Column("spend", "double precision", "number"),
        Column("state", "character varying", "text"),
        Column("vip", "boolean", "boolean"),
    )
    assert spec.returns == "integer"


def test_endpoint_defaults():
    spec = ConfigReader(node(endpoint=ENDPOINT, arguments={"a": "real"}, returns="text")).read()
    assert spec.endpoint == Endpoint("https://models.example/invocations")
    assert spec.endpoint.max_batch_rows == 1000


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"source": "models:/churn"}, "must name a version or an alias"),
        ({"source": "models:/churn/"}, "must name a version or an alias"),
        ({"source": "models:/a/b/c"}, "must name a version or an alias"),
        ({"source": "runs:/abc"}, "must be 'runs:/<run id>/<artifact path>'"),
        ({"source": "model.bin"}, "is neither 'models:/…' nor 'runs:/…' nor a file ending in .joblib"),
        ({"source": 3}, "source must be a string such as"),
        (
            {"source": "a.onnx", "objective": "f1"},
            "objective: not allowed beside 'source', which trains nothing",
        ),
        ({"source": "a.onnx", "endpoint": ENDPOINT}, "exclude each other"),
        ({"source": "a.onnx", "arguments": {"a": "jsonb"}}, "arguments: a: type 'jsonb' is not one of"),
        ({"source": "a.onnx", "arguments": 3}, "arguments must be a string such as"),
        (
            {"source": "a.onnx", "arguments": {"a": "int", "b": "int"}},
            "must keep their order, and dbt sorts the keys of a dict",
        ),
        ({"source": "a.onnx", "arguments": "a int, a int"}, "each name may be given only once, found a, a"),
        ({"source": "a.onnx", "trust": "perhaps"}, "trust must be true or false"),
        ({"target": "y", "trust": True}, "'trust' needs a 'source'"),
        ({"endpoint": ENDPOINT, "returns": "text"}, "an 'endpoint' needs 'arguments'"),
        ({"endpoint": ENDPOINT, "arguments": "a int"}, "an 'endpoint' needs 'returns'"),
        ({"endpoint": {"url": "ftp://x"}}, "url must be an http or https address"),
        ({"endpoint": "http://models.example/x"}, "url must be https, or http on this machine"),
        ({"endpoint": "https://models.example/a/../b"}, "without '.' and '..' in its path"),
        ({"endpoint": "https://models.example/a/%2E%2e/b"}, "without '.' and '..' in its path"),
        ({"endpoint": "https://u:p@models.example/x"}, "url must not contain a user name or password"),
        ({"endpoint": {**ENDPOINT, "timeuot": 3}}, "unknown key 'timeuot', did you mean 'timeout'?"),
        ({"endpoint": {**ENDPOINT, "timeout": "soon"}}, "timeout must be a number from 0.1 to 3600"),
        ({"endpoint": {**ENDPOINT, "protocol": "grpc"}}, "protocol 'grpc' is not one of mlflow, kserve"),
        ({"endpoint": {**ENDPOINT, "protocol": "kserve"}}, "protocol kserve needs 'model'"),
    ],
)
def test_each_bad_value_is_named(config, text):
    assert text in "\n".join(problems(**config))


@pytest.mark.parametrize("rest", ["/x?api-key=s3cr3t", "?a", "/x#y"])
def test_a_key_in_an_address_would_be_seen(rest):
    found = problems(
        endpoint={"url": f"https://models.example{rest}"}, arguments={"a": "real"}, returns="real"
    )
    assert len(found) == 1 and "must end with its path" in found[0] and "s3cr3t" not in found[0]


@pytest.mark.parametrize("url", ["https://[::1", "https://x:port/", "https://x:99999/", "https://x:0/", 3])
def test_addresses_that_are_none(url):
    found = problems(endpoint={"url": url}, arguments={"a": "real"}, returns="real")
    assert len(found) == 1 and "must be an http or https address" in found[0]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("timestamp", "timestamp without time zone"),
        ("timestamptz", "timestamp with time zone"),
        ("timestamp(3) with time zone", "timestamp with time zone"),
        ("time", "time without time zone"),
        ("timetz", "time with time zone"),
        ("varchar(10)", "character varying"),
    ],
)
def test_spellings_of_types(given, named):
    [column] = ConfigReader(node(source="m.joblib", arguments=[{"at": given}])).read().arguments
    assert column.sql_type == named
