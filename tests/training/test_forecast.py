"""Forecasts without a database: statsforecast's own models are the oracle."""

import json

import numpy as np
import pandas as pd
import pytest
from postgres_ml.contract.column import Column
from postgres_ml.contract.config import Settings
from postgres_ml.contract.exceptions import TrainingDataError
from postgres_ml.forecast import budget, calendar, choice, evaluation, search, workers
from postgres_ml.forecast.backtest import backtest, blend, cut, n_windows, predict_windows
from postgres_ml.forecast.models import Candidate, candidates_for, predict
from postgres_ml.forecast.panel import read_panel
from postgres_ml.forecast.table import Table, Told, check_size, function_of, write_parity
from postgres_ml.process.report import Report
from postgres_ml.snapshot.rows import TrainingRows
from support.training import make_job, make_spec

library = pytest.importorskip("statsforecast.models", reason="the extra [forecast]")
MONTHS = np.arange(96)
VALUES = 200 + MONTHS + 30 * np.sin(2 * np.pi * MONTHS / 12) + np.random.default_rng(1).normal(0, 2, 96)
TIME, STORE = Column("month", "date", "date"), Column("store", "integer", "text")
PERCENTILES = ("mean", "0.1", "0.5", "0.9")


def panel(series):
    """Return the series as months; NaN is a month without a row."""
    frames = [
        pd.DataFrame(
            {"month": pd.date_range("2016-01-01", periods=len(v), freq="MS"), "store": key, "value": v}
        )
        for key, v in series.items()
    ]
    frame = pd.concat(frames).dropna(subset="value").reset_index(drop=True)
    features = pd.DataFrame(
        {"month": frame["month"].astype("datetime64[us]"), "store": frame["store"].astype(object)}
    )
    keys = np.arange(len(frame), dtype=np.uint64)
    rows = TrainingRows(features, frame["value"].to_numpy(float), keys, "")
    return read_panel(rows, (TIME, STORE), Column("value", "numeric", "number"), None, None)


def job(tmp_path, **settings):
    spec = make_spec(
        "value",
        model_types=("forecast",),
        settings=Settings(**{"horizon": 6, "max_runtime": 600, **settings}),
    )
    return make_job(tmp_path, (TIME, STORE), Column("value", "numeric", "number"), spec=spec)


@pytest.fixture
def quick(monkeypatch):
    """Costs as if ARIMA, CES and ETS were dear: what is compared follows from no clock."""
    dear = dict.fromkeys(("AutoARIMA", "AutoCES", "AutoETS"), 1.0)
    monkeypatch.setattr(
        budget, "_costs", lambda _, names, *__: {c: dear.get(c.name, 1e-6) for each in names for c in each}
    )
    monkeypatch.setattr(budget, "GIVEN_UP", (3, *dear))


@pytest.mark.parametrize("name", ["AutoETS", "AutoTheta", "AutoCES", "SeasonalNaive"])
def test_a_candidate_is_the_librarys_model(name):
    mean, width = predict(Candidate(name, (12,)), VALUES, 6)
    expected = getattr(library, name)(season_length=12).forecast(y=VALUES, h=6, level=[80])
    assert mean.tolist() == expected["mean"].tolist()
    assert width == pytest.approx((expected["hi-80"] - expected["mean"]) / 1.2815515655446004)


def test_a_blend_is_the_average_of_its_members():
    members = (Candidate("AutoTheta", (12,)), Candidate("MSTL", (12,)))
    mean, width, answered = blend(VALUES, members, 6, 12)
    parts = [predict(member, VALUES, 6) for member in members]
    assert answered == members
    assert mean == pytest.approx(np.mean([part[0] for part in parts], axis=0), rel=1e-15)
    assert width == pytest.approx(np.mean([part[1] for part in parts], axis=0), rel=1e-15)


def test_windows_see_nothing_of_what_they_predict():
    theta = Candidate("DynamicOptimizedTheta", (12,))
    [one] = panel({"1": VALUES}).series
    means, _ = predict_windows(one, theta, 6, 3, float("inf"))
    for window in range(3):
        start = cut(96, 6, window)
        expected = library.DynamicOptimizedTheta(season_length=12).forecast(y=VALUES[:start], h=6)["mean"]
        assert means[window].tolist() == expected.tolist()
    assert predict_windows(one, theta, 6, 3, 0.0) is None  # too late


GAP = np.append(VALUES[:-6], [np.nan, np.nan, *VALUES[-4:]])  # just before a last window of 4 months


@pytest.mark.parametrize("horizon", [4, 5])
def test_a_gap_before_a_window_says_nothing_of_what_follows(horizon):
    """The cut is at the end of the gap, and within it."""
    fell = np.append(GAP[:-4], -1000 * VALUES[-4:])
    [one], [other] = (panel({"1": values}).series for values in (GAP, fell))
    for name in ("SeasonalNaive", "AutoTheta", "MSTL"):
        seen, too = (predict_windows(s, Candidate(name, (12,)), horizon, 3, np.inf) for s in (one, other))
        assert np.array_equal(seen, too)
    failed = [backtest(s, (Candidate("SeasonalNaive", (12,)),), [None], horizon, 3) for s in (one, other)]
    assert np.array_equal(failed[0].means, failed[1].means)
    assert np.array_equal(failed[0].widths, failed[1].widths)
    assert failed[0].means[0, 0].tolist() == [VALUES[-7]] * horizon
    start = cut(96, horizon, 0)
    assert evaluation.least_of(other.history(start)) == 0  # it was never negative before the window


def test_a_random_walk_with_gaps_is_not_predicted_better_than_it_can_be(tmp_path, quick):
    """The months before the hold-out are missing, as a weekend is before a Monday."""
    random = np.random.default_rng(0)
    walks = {str(k): 100 + random.normal(size=96).cumsum() for k in range(12)}
    for values in walks.values():
        values[np.arange(96) % 7 > 4] = np.nan
    found = panel({key: values[:92] for key, values in walks.items()})  # the last one follows two gaps
    searched = search.search(found, job(tmp_path, horizon=1), "rmse", Report(lambda *_: None))
    evaluated = evaluation.evaluate(found, searched, PERCENTILES, "rmse")
    assert evaluated.metrics["rmse"] > 1 and evaluated.metrics["naive_rmse"] > 1  # three steps of 1


def test_the_baseline_repeats_the_last_season_however_short_the_series():
    """The windows end where the season would no longer fit before them."""
    values = 100 + np.tile([0.0, 30, 60, 90, 60, 30, 0, -30, -60, -90, -60, -30], 4) + np.arange(48)
    [one], naive = panel({"1": values}).series, Candidate("SeasonalNaive", (12,))
    windows = budget.windows_of(one, (naive,), 6, 8)
    means, _ = predict_windows(one, naive, 6, windows, np.inf)
    assert windows == 4
    for window in range(windows):
        start = cut(48, 6, window)
        assert means[window].tolist() == values[start - 12 : start - 6].tolist()
    assert predict_windows(one, naive, 6, n_windows(48, 6), np.inf) is None, (
        "with a window of six months before"
    )


def test_the_hold_out_says_nothing_of_whether_demand_is_intermittent(tmp_path, quick):
    sold = np.where(MONTHS % 10 < 3, 0.0, 100 + MONTHS)  # of the months before the hold-out 29 in 90 are 0
    sold[12] = 5.0
    some, none = sold.copy(), sold.copy()
    some[-6:], none[-6:] = 0, 50
    plans = [
        search.search(panel({"1": v}), job(tmp_path, max_runtime=1e-9), "rmse", Report(lambda *_: None)).plan
        for v in (some, none)
    ]
    assert plans[0].candidates == plans[1].candidates


def test_intermittent_series_have_candidates_of_their_own():
    demand = np.array([0, 0, 5, 0, 0, 0, 3, 0, 4, 0] * 6, float)
    names = {candidate.name for candidate in candidates_for(demand, "D", 60, 60)}
    assert "CrostonSBA" in names and "AutoETS" not in names
    assert n_windows(9, 7) == 0 and n_windows(14, 7) == 1 and n_windows(1000, 7) == 8


def test_the_hold_out_decides_nothing(tmp_path, quick):
    """Other values in the last window change scores and forecast, and not what is averaged."""
    changed = VALUES.copy()
    changed[-6:] += 300
    found = [
        search.search(panel({"1": values}), job(tmp_path), "mase", Report(lambda *_: None))
        for values in (VALUES, changed)
    ]
    assert found[0].choice.members[0] == found[1].choice.members[0]
    scores = [
        evaluation.evaluate(panel({"1": v}), s, PERCENTILES, "mase").metrics["mase"]
        for v, s in zip((VALUES, changed), found, strict=True)
    ]
    assert scores[1] > 5 * scores[0]


def test_better_than_the_seasonal_naive_forecast_and_nearly_calibrated(tmp_path, quick):
    random = np.random.default_rng(3)
    series = {
        str(k): 100 + 0.5 * MONTHS + 20 * np.sin(2 * np.pi * (MONTHS + k) / 12) + random.normal(0, 3, 96)
        for k in range(8)
    }
    found = panel(series)
    searched = search.search(found, job(tmp_path), "mase", Report(lambda *_: None))
    evaluated = evaluation.evaluate(found, searched, PERCENTILES, "mase")
    assert evaluated.metrics["mase"] < 0.9 * evaluated.metrics["naive_mase"]
    assert 0.6 < evaluated.metrics["coverage"] < 0.95
    assert [step for step, *_ in evaluated.ahead] == [1, 2, 3, 4, 5, 6]


def test_candidates_are_given_up_where_time_is_short(monkeypatch):
    series = panel({str(k): VALUES for k in range(3)}).series
    names = [candidates_for(one.values, "M", 80, 96) for one in series]
    monkeypatch.setattr(
        budget,
        "_costs",
        lambda *_: {c: {"AutoARIMA": 0.02, "AutoETS": 0.004}.get(c.name, 1e-4) for n in names for c in n},
    )
    rich = budget.plan(series, names, 6, 5400, 100)
    assert rich.given_up == () and rich.windows == 8
    poor = budget.plan(series, names, 6, 20, 1)
    assert poor.given_up[0] == "AutoARIMA" and poor.windows < 8
    assert "left out: with them 3 series" in budget.note(poor, 3)
    assert all(candidates[0].name == "SeasonalNaive" for candidates in poor.candidates)


def test_max_runtime_leaves_the_baseline(tmp_path, quick):
    said = []
    report = Report(lambda level, text, fields=None: said.append(text))
    searched = search.search(
        panel({"1": VALUES, "2": VALUES}), job(tmp_path, max_runtime=1e-9), "mase", report
    )
    assert {member.name for members in searched.choice.members for member in members} == {"SeasonalNaive"}
    assert any("max_runtime ended the search" in text for text in said)


def test_a_candidate_that_fails_is_left_out(monkeypatch):
    tests = backtest(
        *panel({"1": VALUES}).series,
        (Candidate("SeasonalNaive", (12,)), Candidate("AutoETS")),
        [(VALUES[:6][None], VALUES[:6][None]), None],
        6,
        1,
    )
    assert [candidate.name for candidate in tests.candidates] == ["SeasonalNaive"]
    assert choice.choose([tests], lambda *_: 1.0).members == ((Candidate("SeasonalNaive", (12,)),),)
    assert predict(Candidate("AutoETS", (12,)), np.array([1.0, 2.0]), 3) is None


def test_a_series_too_short_to_be_judged_follows_the_others(tmp_path, quick):
    found = panel({"1": VALUES, "2": VALUES[:5]})
    searched = search.search(found, job(tmp_path), "wape", Report(lambda *_: None))
    assert searched.tests[1].n_windows == 0 and searched.choice.members[1]
    assert evaluation.evaluate(found, searched, PERCENTILES, "wape").numbers == (0,)
    assert all(
        np.isfinite(mean).all()
        for mean, _ in search.refit(found, job(tmp_path), searched, Report(lambda *_: None))
    )


def test_processes_return_what_one_returns():
    [one] = panel({"1": VALUES}).series
    jobs = [(one, Candidate(name, (12,)), 6, 2, float("inf")) for name in ("SeasonalNaive", "MSTL")]
    alone = workers.run(predict_windows, jobs, 1, 100)
    together = workers.run(predict_windows, jobs, 2, 100)
    assert all((a[0] == b[0]).all() and (a[1] == b[1]).all() for a, b in zip(alone, together, strict=True))


def test_the_body_and_the_parity_rows_hold_every_value(tmp_path):
    grid = panel({"1": VALUES}).grid
    times = calendar.following(0, 1, grid, 2)
    told = Told(
        ("it's\\",),
        times,
        np.array([0.1, 1e300]),
        {0.1: np.array([0.0, -1.5]), 0.5: np.array([0.1, 2.0]), 0.9: np.array([1.0, 3.0])},
    )
    table = Table(TIME, (STORE,), PERCENTILES, (told,), 2)
    function = function_of(table, "predict_sales")
    assert function.columns == (
        ("store", "integer"),
        ("month", "date"),
        *((n, "double precision") for n in ("mean", "p10", "p50", "p90")),
    )
    assert function.defaults == (2,) and "'{0.1,1e+300}'::double precision[]" in function.body
    write_parity(tmp_path / "parity.copy", table)
    [first, second] = (tmp_path / "parity.copy").read_text().splitlines()
    cells = json.loads(second.split("\t")[1].replace("\\\\", "\\"))
    assert cells == ["it's\\", "1970-03-01", "1e+300", "-1.5", "2.0", "3.0"] and first.startswith("2\t")
    with pytest.raises(
        TrainingDataError, match="3,000,000 values, and a function holds 2,000,000: lower horizon"
    ):
        check_size(10_000, 100, 3)
