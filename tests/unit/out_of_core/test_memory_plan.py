"""When rows are read from disk, and what is kept in memory then."""

from pathlib import Path

import pytest
from postgres_ml.contract.config import Settings
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


def test_a_cap_that_the_labels_alone_pass_is_refused(snapshot: Path) -> None:
    with pytest.raises(TrainingDataError, match=r"max_memory is 600 MB.* 320 MB.*raise settings: max_memory"):
        plan_memory(Settings(max_memory=600 * MB), snapshot, N, COLUMNS, used=320 * MB)


def test_the_default_is_a_share_of_what_the_system_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "limit_bytes", lambda: 10_000 * MB)
    assert plan.cap_of(Settings()) == 6_000 * MB
    assert plan.cap_of(Settings(max_memory=5)) == 5
    monkeypatch.setattr(plan, "limit_bytes", lambda: None)
    assert plan.cap_of(Settings()) is None
