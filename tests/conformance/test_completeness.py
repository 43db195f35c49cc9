"""Every test class that dbt-tests-adapter publishes is run here, or stands below with the reason why not."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import dbt.tests.adapter
import pytest

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "conformance.md"
PYTHON = "dbt-postgres has no models or functions in Python; this adapter's `create_model` is not one"

#: what plain dbt-postgres does not pass either, and why
EXCLUDED = {
    "BaseClonePossible": "Postgres can't clone a table; BaseCloneNotPossible is its twin",
    "BaseCloneSameSourceAndTarget": "dbt-postgres clones a relation to itself as a view, and does not say that it skips it",
    "BaseCurrentTimestampNaive": "Postgres' current_timestamp has a time zone; BaseCurrentTimestampAware is its twin",
    "BaseEscapeSingleQuotesBackslash": "Postgres doubles a quote; BaseEscapeSingleQuotesQuote is its twin",
    "BaseGetCatalogForSingleRelation": "dbt-postgres does not implement get_catalog_for_single_relation",
    "BaseTestEmptyInlineSourceRef": "with --empty dbt names the subquery itself, and Postgres refuses the second alias",
    "BasePythonModelTests": PYTHON,
    "BasePythonIncrementalTests": PYTHON,
    "BasePythonEmptyTests": PYTHON,
    "BasePythonSampleTests": PYTHON,
    "BasePythonMetaGetTests": PYTHON,
    "BasePySparkTests": PYTHON,
    "UDAFBase": "dbt-postgres has no aggregate functions",
    "BasicSQLUDAF": "dbt-postgres has no aggregate functions",
    "BasicPythonUDAF": PYTHON,
    "PythonUDAFDefaultArgSupport": PYTHON,
    "PythonUDFSupported": PYTHON,
    "PythonUDFDefaultArgSupport": PYTHON,
    "PythonUDFVolatilitySupport": PYTHON,
}


def test_classes(module):
    """The classes of a module that have tests, by name; `Test…` are only examples of how to subclass them."""
    return {
        name: value
        for name, value in inspect.getmembers(module, inspect.isclass)
        if value.__module__ == module.__name__
        and not name.startswith(("Test", "_"))
        and any(
            callable(getattr(value, attribute)) for attribute in dir(value) if attribute.startswith("test_")
        )
    }


test_classes.__test__ = False


@pytest.fixture(scope="module")
def published():
    """The leaves of dbt-tests-adapter: a class that only serves as another's base is run with that one."""
    (root,) = map(Path, dbt.tests.adapter.__path__)
    found = {}
    for path in root.rglob("*.py"):  # not pkgutil: most of its folders are no packages
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        found.update(test_classes(importlib.import_module(f"dbt.tests.adapter.{name}")))
    return found


@pytest.fixture(scope="module")
def run_here():
    """Every class that a test class of this folder derives from."""
    modules = [importlib.import_module(path.stem) for path in HERE.glob("test_dbt_*.py")]
    tests = [
        value for module in modules for name, value in inspect.getmembers(module, inspect.isclass)
        if name.startswith("Test") and value.__module__ == module.__name__
    ]  # fmt: skip
    return {base for test in tests for base in test.__mro__}


def test_every_published_class_is_run_or_excluded(published, run_here):
    missing = {name for name, value in published.items() if value not in run_here}
    assert missing == set(EXCLUDED)


def test_every_exclusion_is_documented():
    text = DOCUMENT.read_text()
    assert [name for name in EXCLUDED if name not in text] == []
