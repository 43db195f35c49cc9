"""The config table beside what it repeats or describes: dataclasses, dbt, other modules' lists, the pages."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from dbt.adapters.postgres.connections import PostgresCredentials
from dbt.adapters.postgres_ml.config import dbt_keys, document, keys, lifecycle, objectives, preprocessors
from dbt.adapters.postgres_ml.credentials import PostgresMLCredentials
from dbt.artifacts.resources.v1.model import ModelConfig
from postgres_ml.contract.config import Endpoint, Settings, TrainingSpec
from postgres_ml.evaluate import gates, metrics
from postgres_ml.features import problem, transformer_rules

DOCS = Path(__file__).parents[3] / "docs"
PAGES = ("configuration.md", "bring-your-own-model.md")
#: what a TrainingSpec has besides the config's keys
OF_THE_NODE = {"name", "unique_id", "database", "schema"}


def fields(dataclass):
    return {field.name: field.default for field in dataclasses.fields(dataclass)}


@pytest.mark.parametrize("page", PAGES)
def test_tables_of_the_pages_are_current(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert document.filled(text) == text, "run make docs-tables"


def test_every_table_is_in_the_configuration_page():
    found = [match["name"] for match in document.REGION.finditer((DOCS / PAGES[0]).read_text("utf-8"))]
    assert sorted(found) == sorted(document.tables())


def test_every_key_is_a_field_of_the_specification_and_every_field_a_key():
    assert {name.replace("model_types", "model_type") for name in fields(TrainingSpec)} == {
        *OF_THE_NODE,
        *keys.MODEL.names,
    }
    # holdout is stored by its forms
    by_form = {"holdout_column", "holdout_time", "holdout_after"}
    assert set(fields(Settings)) - by_form == set(keys.SETTINGS.names)
    assert tuple(fields(Endpoint)) == keys.ENDPOINT.names


@pytest.mark.parametrize(
    ("section", "dataclass"),
    [(keys.MODEL, TrainingSpec), (keys.SETTINGS, Settings), (keys.ENDPOINT, Endpoint)],
)
def test_defaults_are_those_of_the_dataclass(section, dataclass):
    defaults = fields(dataclass)
    compared = [key for key in section.keys if key.default is not None and key.name in defaults]
    assert len(compared) >= 4
    for key in compared:
        assert key.default == defaults[key.name], key.name
        assert key.kind.read(key.name, key.default, []) == key.default
    for key in section.keys:
        if key.default is None and not key.is_required and key.name not in ("settings", "gates"):
            assert key.default_words, key.name
        if key.is_required:
            assert defaults[key.name] is dataclasses.MISSING


def test_profile_keys_are_those_of_the_credentials():
    own = fields(PostgresMLCredentials)
    for name in fields(PostgresCredentials):
        del own[name]
    assert set(own) == set(dbt_keys.PROFILE.names)
    assert {key.name: key.default for key in dbt_keys.PROFILE.keys} == own


def test_keys_of_dbt_are_known():
    assert set(fields(ModelConfig)) - {"_extra"} <= set(dbt_keys.DBT_KEYS)
    assert not set(keys.MODEL.names) & set(dbt_keys.DBT_KEYS)


def test_transformers_are_those_of_the_training():
    assert sorted(preprocessors.TRANSFORMERS) == sorted(transformer_rules.TRANSFORMERS)


def test_metrics_are_those_of_the_evaluation():
    by_problem = lifecycle.METRICS_BY_PROBLEM
    truth, share = [0, 1, 1, 0], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]]
    arrays = [metrics.np.asarray(values) for values in (truth, truth, share)]
    assert set(metrics.classification_metrics(*arrays)) == set(by_problem["classification"])
    of_intervals = {"interval_coverage", "interval_width"}
    assert set(metrics.regression_metrics(*arrays[:2], 0.9)) | of_intervals == set(by_problem["regression"])
    assert set(lifecycle.METRICS) >= gates.LOWER_IS_BETTER


def test_objectives_are_those_of_the_training():
    for name, objective in objectives.XGBOOST_OBJECTIVES.items():
        assert name.startswith(problem.OBJECTIVE_FAMILY[objective.problem_type])
    for name, (_, _, words) in problem.RANGES.items():
        assert words in objectives.XGBOOST_OBJECTIVES[name].target
    of_metrics = {name for names in problem.METRICS_OF.values() for name in names}
    assert of_metrics == set(objectives.AUTO_OBJECTIVES)


@pytest.mark.parametrize(
    "section", [keys.MODEL, keys.SETTINGS, keys.ENDPOINT, dbt_keys.DBT, dbt_keys.PROFILE]
)
def test_every_key_says_what_it_means(section):
    for key in section.keys:
        assert key.meaning and not key.meaning.endswith("."), key.name
        assert not key.details or key.details.endswith("."), key.name
        page, _, anchor = key.see.partition("#")
        text = (DOCS / (page or PAGES[0])).read_text("utf-8")
        heads = {
            "".join(letter for letter in line.strip("# ").lower().replace(" ", "-") if letter.isalnum() or letter == "-")
            for line in text.splitlines()
            if line.startswith("#")
        }  # fmt: skip
        assert not anchor or anchor in heads, key.see
