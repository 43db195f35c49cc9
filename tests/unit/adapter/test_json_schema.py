"""The JSON schema for editors: current, valid, as lenient as dbt's own reading, and strict with misspellings.

That it takes every config that the reader takes is held by `model_config.ConfigReader`, in all tests of it.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import jinja2
import jsonschema
import pytest
import yaml
from dbt.adapters.postgres_ml.config import json_schema, keys

from tests.support.model_config import VALIDATOR, schema_errors

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted(
    path
    for path in (ROOT / "models_examples").rglob("models/**/*")
    if path.suffix in (".sql", ".py")
    and "target" not in path.parts
    and "create_model" in path.read_text(encoding="utf-8")
)


class Stop(Exception):
    """A Python model has said its config."""


def config_of(path: Path) -> dict:
    """Return the config that a model's file states."""
    found: dict = {}
    if path.suffix == ".py":
        scope: dict = {}
        exec(path.read_text(encoding="utf-8"), scope)

        def config(**given):
            found.update(given)
            raise Stop

        with pytest.raises(Stop):
            scope["model"](SimpleNamespace(config=config), None)
    else:
        jinja2.Template(path.read_text(encoding="utf-8")).render(
            config=lambda **given: found.update(given),
            ref=str,
            target=SimpleNamespace(schema="ml", name="dev"),
            var=lambda name, default: default,
        )
    return found


def file_errors(text: str) -> list[str]:
    """Return what an editor says about a YAML file."""
    return [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))]


def test_the_shipped_file_is_current():
    assert json_schema.SHIPPED.read_text(encoding="utf-8") == json_schema.text(), "run make docs-tables"


def test_the_schema_is_valid():
    jsonschema.Draft7Validator.check_schema(json_schema.schema())


def run_command(monkeypatch, *arguments):
    name = json_schema.__name__
    monkeypatch.delitem(sys.modules, name)  # it runs as __main__, which warns where it is loaded already
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_module(name, run_name="__main__")


def test_the_command_prints_the_path(monkeypatch, capsys):
    run_command(monkeypatch)
    assert Path(capsys.readouterr().out.strip()).samefile(json_schema.SHIPPED)


def test_the_command_writes_the_file(monkeypatch, tmp_path):
    written = tmp_path / ".vscode" / "create_model.schema.json"
    run_command(monkeypatch, str(written))
    assert written.read_text(encoding="utf-8") == json_schema.text()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_accepted(path):
    config = config_of(path)
    assert config["materialized"] == "create_model"
    assert schema_errors(config) == []


def test_there_are_examples():
    assert len(EXAMPLES) >= 12


@pytest.mark.parametrize(
    "config",
    [
        {"targt": "y"},
        {"target": 5},
        {"target": " "},
        {"model_type": "xgbost"},
        {"model_type": ["xgboost", "svm"]},
        {"problem_type": "regresion"},
        {"objective": "f2"},
        {"auto": "maybe"},
        {"runtime": "rust"},
        {"promote": "if_worse"},
        {"retrain": {"after": "7 moons"}},
        {"retrain": {"every": "7 days"}},
        {"settings": "fast"},
        {"settings": {"max_runtme": 3}},
        {"settings": {"max_cells": "many"}},
        {"settings": {"keep_versions": 0}},
        {"settings": {"seed": 1.5}},
        {"settings": {"compute": "spark"}},
        {"settings": {"max_memory": "much"}},
        {"settings": {"holdout": 1.5}},
        {"settings": {"holdout": {"colum": "t"}}},
        {"settings": {"holdout": {"time": "t", "before": "2024-01-01"}}},
        {"settings": {"holdout": {"time": "t"}}},
        {"gates": ["f1"]},
        {"gates": {"acuracy": ">= 0.6"}},
        {"gates": {"f1": "0.6"}},
        {"gates": {"f1": {"min": 0.6}}},
        {"gates": {"f1": ">= 0.6", "severity": "high"}},
        {"preprocessors": "all"},
        {"preprocessors": [{"columns": ["a"], "transformers": ["PCA"]}]},
        {"preprocessors": [{"column_set": ["a"], "transformers": ["StandardScaller"]}]},
        {"preprocessors": [{"column_set": ["a"], "transformers": []}]},
        {"model_type": "xgboost", "hyperparameters": {"max_depth": "deep"}},
        {"model_type": "XGBoost", "hyperparameters": {"booster": "gblinear"}},
        {"model_type": "linear_learner", "hyperparameters": {"alfa": 1}},
        {"model_type": "kmeans", "hyperparameters": {"k": 1}},
        {"model_type": "mlp", "hyperparameters": {"activation": "tan"}},
        {"source": "models:/churn"},
        {"source": "model.bin"},
        {"endpoint": "ftp://x"},
        {"endpoint": "https://user:password@models.example/x"},
        {"endpoint": {"url": "https://models.example", "timeuot": 3}},
        {"endpoint": {"url": "https://models.example", "protocol": "grpc"}},
        {"endpoint": {"timeout": 3}},
        {"arguments": {"a": "real", "b": "real"}},
        {"arguments": [{"a": "reel"}]},
        {"returns": "integr"},
    ],
)  # fmt: skip
def test_mistakes_are_refused(config):
    assert schema_errors(config) != []


@pytest.mark.parametrize("key", keys.MODEL.names)
def test_any_value_may_be_an_expression_or_left_out(key):
    assert schema_errors({key: "{{ var('chosen') }}"}) == [] or key == "endpoint"
    assert schema_errors({key: None}) == []


def test_settings_may_hold_expressions():
    assert schema_errors({"settings": {"max_runtime": "{{ var('seconds', 300) }}", "seed": None}}) == []


FILE = """
version: 2
models:
  - name: customers
    config: {materialized: table, targt: anything, settings: 3}
  - name: unsaid
  - name: customer_churn
    description: Who leaves.
    columns: [{name: churn, data_tests: [not_null]}]
    data_tests: [{model_metric: {arguments: {metric: f1, min: 0.6}}}]
    config:
      materialized: create_model
      tags: [ml]
      target: churn
      meta: {owner: growth}
      grants: {execute: [reporting]}
      settings: {max_runtime: 300}
sources: [{name: shop, tables: [{name: orders}]}]
"""


def test_a_file_of_properties():
    assert file_errors(FILE) == []
    [message] = file_errors(FILE.replace("target: churn", "targt: churn"))
    assert "'targt' was unexpected" in message


PROJECT = """
name: shop
models:
  +materialized: view
  shop:
    marts: {+materialized: table, +settings: nonsense}
    ml:
      +materialized: create_model
      +target: churn
      +settings: {max_runtime: 300}
      small: {+settings: {max_runtime: 3}}
seeds: {shop: {+schema: data}}
"""


def test_a_project_file():
    assert file_errors(PROJECT) == []
    assert len(file_errors(PROJECT.replace("+target", "+targt"))) == 1
    assert len(file_errors(PROJECT.replace("max_runtime: 300", "max_runtme: 300"))) == 1


def test_keys_are_explained():
    properties = json_schema.config_schema()["properties"]
    assert {name for name, value in properties.items() if not value.get("description")} == set()
    assert properties["target"]["description"].startswith("The column of the query to predict.")
    assert "Redshift: `TARGET`." in properties["target"]["description"]
    assert properties["explain"]["default"] is False


@pytest.mark.parametrize(("key", "n_errors"), [("target", 0), ("targte", 1)])
def test_keys_may_stand_under_meta(key, n_errors):
    file = {
        "models": [
            {"name": "m", "config": {"materialized": "create_model", "meta": {"create_model": {key: "y"}}}}
        ]
    }
    assert len(file_errors(yaml.safe_dump(file))) == n_errors
