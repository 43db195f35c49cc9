"""Every parser has a case, and docs/support.md is what the registry says."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from equivalence.cases import CASES
from equivalence.draw import SeededDraw
from postgres_ml.lower import PARSERS
from postgres_ml.lower.builder import Builder, type_name
from postgres_ml.lower.support_table import support_table

ELSEWHERE = {
    # a Booster predicts from a DMatrix, so it is no pipeline's last step
    "xgboost.Booster": "tests/equivalence/test_booster.py",
    # LightGBM is optional: its models and predictions are frozen
    "lightgbm.Booster": "tests/unit/lower/test_parse_lightgbm.py",
    "lightgbm.LGBMClassifier": "tests/unit/lower/test_parse_lightgbm.py",
    "lightgbm.LGBMRegressor": "tests/unit/lower/test_parse_lightgbm.py",
    "postgres_ml.BoosterClassifier": "tests/training/test_brought_boosters.py",
    "postgres_ml.BoosterRegressor": "tests/training/test_brought_boosters.py",
    # stands before pipelines that were fitted on other frames than ours
    "postgres_ml.FrameTypes": "tests/training/test_missing_values.py",
}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def parsed() -> set[str]:
    """The type names that the cases make parsers for, over a few draws of each."""
    found: set[str] = set()

    class Recorder(Builder):
        def parse(self, estimator: Any, matrix: Any) -> Any:
            found.add(type_name(estimator))
            return super().parse(estimator, matrix)

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr("postgres_ml.lower.Builder", Recorder)
        from postgres_ml.lower import parse_pipeline

        for case in CASES:
            fitted = case.fit(SeededDraw(0), n_rows=80)
            parse_pipeline(fitted.pipeline, fitted.inputs, fitted.return_type)
    return found


def test_every_parser_has_a_case(parsed: set[str]) -> None:
    assert set(PARSERS) - parsed == set(ELSEWHERE)


def test_what_is_tested_elsewhere_is_tested_there() -> None:
    for name, path in ELSEWHERE.items():
        assert name.partition(".")[2] in (ROOT / path).read_text(encoding="utf-8")


def test_support_page_is_current() -> None:
    page = (ROOT / "docs" / "support.md").read_text(encoding="utf-8")
    assert page == support_table(), "run python -m postgres_ml.lower.support_table docs/support.md"
