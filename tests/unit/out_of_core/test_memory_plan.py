"""When rows are read from disk, and what is kept in memory then."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.config import ColumnSet, Settings, TrainingSpec
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.out_of_core import plan
from postgres_ml.out_of_core.plan import plan_memory

MB = 10**6
N, COLUMNS = 4_000_000, 21


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A file of the size of 4,000,000 rows of 20 numbers and a label, without its blocks."""
    path = tmp_path / "snapshot.bin"
    with path.open("wb") as file:
        file.truncate(N * (6 + 4 * (COLUMNS + 1) + 8 * COLUMNS))
    return path


def test_rows_that_fit_are_read_at_once(snapshot: Path) -> None:
    settings = Settings(max_memory=4000 * MB)
    assert plan_memory(settings, snapshot, N, COLUMNS, used=320 * MB) is None


@pytest.mark.parametrize("cap", [1000, 1500, 2500])
def test_what_is_kept_in_memory_is_less_than_the_cap(snapshot: Path, cap: int) -> None:
    found = plan_memory(Settings(max_memory=cap * MB), snapshot, N, COLUMNS, used=320 * MB)
    assert found is not None and found.needed == pytest.approx(320 * MB + 3.5 * N * 8 * COLUMNS, rel=0.01)
    row = 3.5 * 8 * COLUMNS
    at_once = (2 * found.n_file_rows + found.n_sampled) * row
    assert 320 * MB + N * plan.ROW_BYTES + plan.OVERHEAD + at_once < cap * MB
    said = found.text(1344 * MB, 100)
    assert f"max_memory is {cap / 1000:.1f} GB" in said and "1.3 GB in 100 files" in said


def test_columns_of_texts_count_beside_the_rows(snapshot: Path) -> None:
    settings, encoded = Settings(max_memory=4000 * MB), 1000
    found = plan_memory(settings, snapshot, N, COLUMNS, 320 * MB, encoded)
    assert found is not None and found.needed == pytest.approx(320 * MB + N * (3.5 * 8 * COLUMNS + encoded))
    assert found.n_fitting * (3.5 * 8 * COLUMNS + encoded) < (4000 - 320) * MB


def test_a_search_holds_each_encoding_and_what_fits_have_at_once() -> None:
    def of(n_threads: int, *model_types: str, one_hot: int = 0) -> int:
        spec = TrainingSpec("m", "model.m", "db", "s", function="f", target="y", model_types=model_types)
        return plan.auto_bytes(spec, 20, 3 if one_hot else 0, n_threads, one_hot)

    # 400,000 numbers x 20 took 1,765 MB with two threads beside the libraries, of which 67 MB were the rows
    assert 1765 * MB - 3.5 * 67 * MB < 320_000 * of(2, "xgboost", "linear_learner", "mlp") < 2500 * MB
    assert of(1, "xgboost") < of(8, "xgboost") < of(1, "mlp") < of(8, "mlp") < of(8, "mlp", one_hot=150)
    assert of(8, "mlp", one_hot=600) == of(8, "mlp", one_hot=512)


COLUMN_SETS = (
    ColumnSet(("t0",), ("TextVectorizer",), max_features=7),
    ColumnSet(("t1",), ("OneHotEncoder",)),
)


@pytest.mark.parametrize(
    ("given", "columns"),
    [
        ({"auto": False, "model_types": ("xgboost",)}, 0),  # codes
        ({"auto": False, "model_types": ("additive",)}, 0),
        ({"auto": False, "model_types": ("linear_learner",)}, 64 + 11),
        ({"auto": False, "model_types": ("mlp",)}, 64 + 11),
        ({"auto": False, "model_types": ("kmeans",)}, 101 + 11),
        ({"auto": False, "model_types": ("xgboost",), "preprocessors": COLUMN_SETS}, 101 + 11 + 7),
    ],
)
def test_texts_become_as_many_columns_as_they_have_values_up_to_a_limit(
    given: dict[str, Any], columns: int
) -> None:
    words = [f"word{n}" for n in range(100)]
    frame = pd.DataFrame({"x": np.arange(300.0), "t0": words * 3, "t1": words[:10] * 30}).astype(
        {"t0": object}
    )
    frame["t1"] = frame["t1"].astype(object)
    spec = TrainingSpec("m", "model.m", "db", "s", function="f", target="y", **given)
    assert plan.encoded_bytes(spec, frame, 2) == (plan.DENSE * columns, plan.DENSE * columns)


@pytest.mark.parametrize(
    ("n_rows", "n_numbers", "n_threads", "cap"),
    [(3_000, 200, 8, 700), (2_500, 300, 16, 1_100), (7_000, 500, 4, 1_900), (7_900, 100, 16, 1_100)],
)
def test_what_searches_side_by_side_take_is_not_what_a_file_needs(
    tmp_path: Path, n_rows: int, n_numbers: int, n_threads: int, cap: int
) -> None:
    """The search learns from fewer rows then; one fit reads all of them, a file after the other."""
    path = tmp_path / "snapshot.bin"
    with path.open("wb") as file:
        file.truncate(n_rows * (6 + 4 * (n_numbers + 2) + 8 * (n_numbers + 1)))
    spec = TrainingSpec("m", "model.m", "db", "s", function="f", target="y")
    frame = pd.DataFrame(np.zeros((10, n_numbers)))
    encoded, once = plan.encoded_bytes(spec, frame, n_threads)
    assert once < encoded
    settings = Settings(max_memory=cap * MB)
    found = plan_memory(settings, path, n_rows, n_numbers + 1, 320 * MB, encoded, once)
    assert found is not None and plan.LEAST_SAMPLED <= found.n_fitting < n_rows
    arrow = 8 * (n_numbers + 1)
    assert found.n_file_rows * (3.5 * arrow + once) < (cap - 320) * MB


def test_a_cap_that_the_labels_alone_pass_is_refused(snapshot: Path) -> None:
    with pytest.raises(TrainingDataError, match=r"max_memory is 600 MB.* 320 MB.*raise settings: max_memory"):
        plan_memory(Settings(max_memory=600 * MB), snapshot, N, COLUMNS, used=320 * MB)


def test_the_default_is_a_share_of_what_the_system_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "limit_bytes", lambda: 10_000 * MB)
    assert plan.cap_of(Settings()) == 6_000 * MB
    assert plan.cap_of(Settings(max_memory=5)) == 5
    monkeypatch.setattr(plan, "limit_bytes", lambda: None)
    assert plan.cap_of(Settings()) is None
