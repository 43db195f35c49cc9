"""The package's public names: all there, documented in docs/support.md, and loaded only when asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import postgres_ml
import pytest
from postgres_ml.serve.audit import OWN_MODULES

SUPPORT = Path(__file__).parents[2] / "docs" / "support.md"


@pytest.mark.parametrize("name", postgres_ml.__all__)
def test_every_public_name_is_a_class_of_ours_that_compiles(name: str) -> None:
    found = getattr(postgres_ml, name)
    assert found.__name__ == name and found.__module__ in OWN_MODULES
    assert f"`postgres_ml.{name}`" in SUPPORT.read_text(encoding="utf-8")


def test_other_names_are_missing_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = postgres_ml.Nothing


def test_importing_the_package_imports_no_library() -> None:
    code = "import sys, postgres_ml; print({'numpy', 'sklearn', 'xgboost', 'pandas', 'mlflow'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"
