"""How many windows a series has, and what is said where it has none."""

import re

import pytest
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.forecast.backtest import check_horizon, n_windows


@pytest.mark.parametrize("n_points", range(3, 30))
@pytest.mark.parametrize("horizon", [1, 3, 6, 7, 20])
def test_a_horizon_that_is_too_long_is_refused_with_what_helps(n_points, horizon):
    if n_windows(n_points, horizon):
        check_horizon(n_points, horizon, "day")
        return
    with pytest.raises(TrainingDataError) as refused:
        check_horizon(n_points, horizon, "day")
    enough = int(re.search(r"more history: (\d+) steps or more$", str(refused.value))[1])
    assert n_windows(enough, horizon) == 1 and n_windows(enough - 1, horizon) == 0
    lower = re.search(r"Lower settings: {horizon: (\d+)}, or select", str(refused.value))
    greatest = int(lower[1]) if lower else 0
    assert greatest == max((h for h in range(1, horizon) if n_windows(n_points, h)), default=0)


def test_a_short_series_is_told_to_get_more_rows():
    with pytest.raises(
        TrainingDataError, match=r"last 1 from at least 6 before them\. Select more history: 7 steps or more"
    ):
        check_horizon(5, 1, "day")


@pytest.mark.parametrize(
    ("n_points", "horizon", "season", "windows"),
    [(48, 6, 12, 4), (96, 6, 12, 8), (36, 6, 12, 2), (26, 12, 12, 1), (70, 7, 7, 8), (74, 12, 24, 2)],
)
def test_windows_leave_two_seasons_before_each(
    n_points: int, horizon: int, season: int, windows: int
) -> None:
    assert n_windows(n_points, horizon, season=season) == windows
    if windows > 2:
        assert n_points - windows * horizon >= 2 * season
