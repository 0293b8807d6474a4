"""Pictures of survival: what is drawn is what was estimated."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import semistruct as ss
from semistruct.exceptions import DataError, ParameterError, TargetError

mpl.use("Agg")


@pytest.fixture
def axis():
    return Figure().subplots()


@pytest.fixture(scope="module")
def rossi():
    X, y = ss.datasets.load_rossi()
    model = ss.SemiStructuredSurvival("fin + age + prio").fit(X, y)
    return model, X, y


@pytest.fixture(scope="module")
def trial():
    """Two causes in three groups, censored."""
    rng = np.random.default_rng(0)
    group = rng.choice(["a", "b", "c"], 150)
    life, censor = rng.exponential(4, 150), rng.uniform(0, 9, 150)
    cause = rng.choice(["death", "relapse"], 150)
    time = np.round(np.minimum(life, censor), 1) + 0.1
    return ss.Surv(time, life <= censor, cause=cause), group


def value_at(line, times):
    """Read a drawn step function at times that are no steps."""
    at, height = line.get_xdata(), line.get_ydata()
    return height[np.searchsorted(at, times, side="right") - 1]


def limits_at(band, times):
    """Read the lowest and the highest corner of a drawn band."""
    corners = np.vstack([path.vertices for path in band.get_paths()])
    found = []
    for time in times:
        left = corners[corners[:, 0] <= time, 0].max()
        right = corners[corners[:, 0] >= time, 0].min()
        low = corners[corners[:, 0] == left, 1]
        high = corners[corners[:, 0] == right, 1]
        both = np.array(sorted(set(low.round(9)) & set(high.round(9))))
        found.append((both.min(), both.max()))
    return np.array(found)


def curves_of(axis):
    """Lines that are no ticks of censoring."""
    return [line for line in axis.lines if line.get_marker() == "None"]


def table_of(axis, n):
    """Numbers below the axis, a row for each of n groups, and the places of columns."""
    words = [t for t in axis.texts if t.get_ha() == "center"]
    numbers = np.array([float(t.get_text()) for t in words]).reshape(n, -1)
    at = np.array([t.xy[0] for t in words]).reshape(n, -1)
    assert (at == at[0]).all()
    return numbers, at[0]


def slow_counts(y, times, keep):
    entry = np.full(len(y), -1.0) if y.entry is None else y.entry
    return [
        sum(e < t <= u for e, u in zip(entry[keep], y.time[keep], strict=True))
        for t in times
    ]


def test_predicted_curves_and_their_band(rossi, axis):
    model, X, y = rossi
    curves = model.predict_survival_function(X.iloc[:3])
    band = ss.survival.survival_band(model, X, y, X.iloc[:3])
    drawn = ss.plots.survival(curves, band=band, labels=list("abc"), axes=axis)
    assert drawn is axis
    times = [0.5, 10.5, 30.5, 51.5]
    for i, line in enumerate(axis.lines):
        assert value_at(line, times) == pytest.approx(curves(times)[i])
        low, high = band.lower(times)[i], band.upper(times)[i]
        got = limits_at(axis.collections[i], times)
        assert got == pytest.approx(np.c_[low, high], abs=1e-8)
    assert len({line.get_color() for line in axis.lines}) == 3
    assert [t.get_text() for t in axis.get_legend().get_texts()] == list("abc")
    assert axis.get_xlim()[0] == 0
    assert axis.get_ylim()[0] == 0


def test_styles_differ_beyond_the_colours(rossi, axis):
    model, X, _ = rossi
    curves = model.predict_survival_function(X)
    ss.plots.survival(curves[:21], axes=axis)
    styles = {(line.get_color(), line.get_linestyle()) for line in axis.lines}
    assert len(styles) == 21
    texts = [t.get_text() for t in axis.get_legend().get_texts()]
    assert texts == [str(i) for i in range(21)]


def test_one_curve_needs_no_legend(rossi, axis):
    model, X, _ = rossi
    ss.plots.survival(model.predict_survival_function(X[:1]), axes=axis)
    assert axis.get_legend() is None


def test_bad_curves(rossi, axis):
    model, X, y = rossi
    curves = model.predict_survival_function(X)
    with pytest.raises(DataError, match=r"1 to 21 curves .* got 432"):
        ss.plots.survival(curves, axes=axis)
    hazard = model.predict_cumulative_hazard_function(X[:2])
    with pytest.raises(DataError, match="start at 1, but these at 0"):
        ss.plots.survival(hazard, axes=axis)
    with pytest.raises(DataError, match="2 labels are given for 3 curves"):
        ss.plots.survival(curves[:3], labels=["a", "b"], axes=axis)
    band = ss.survival.survival_band(model, X, y, X.iloc[:2])
    with pytest.raises(DataError, match="band has 2 rows, but there are 3"):
        ss.plots.survival(curves[:3], band=band, axes=axis)
    with pytest.raises(DataError, match="does not hold the curve of row 0"):
        ss.plots.survival(curves[[1, 0]], band=band, axes=axis)
    assert not axis.lines


def test_kaplan_meier_by_group(trial, axis):
    y, group = trial
    ss.plots.kaplan_meier(y, group, level=0.9, axes=axis)
    estimate = ss.survival.kaplan_meier(y, group, level=0.9)
    curves = curves_of(axis)
    ticks = [line for line in axis.lines if line.get_marker() == "|"]
    for g, label in enumerate("abc"):
        mine = y[group == label]
        last = mine.time.max()
        assert curves[g].get_xdata()[-1] == last  # not longer than its group
        times = np.linspace(0.03, last - 0.03, 9)
        assert value_at(curves[g], times) == pytest.approx(estimate.estimate(times)[g])
        low, high = estimate.lower(times)[g], estimate.upper(times)[g]
        got = limits_at(axis.collections[g], times)
        assert got == pytest.approx(np.c_[low, high], abs=1e-8)
        gone = np.unique(mine.time[~mine.event])
        assert ticks[g].get_xdata() == pytest.approx(gone)
        assert ticks[g].get_ydata() == pytest.approx(estimate.estimate(gone)[g])
    numbers, at = table_of(axis, 3)
    for g, label in enumerate("abc"):
        keep = group == label
        expected = slow_counts(y, at, keep)
        assert numbers[g].tolist() == expected
    assert axis.get_xticks() == pytest.approx(at)
    names = [t.get_text() for t in axis.texts if t.get_ha() == "right"]
    assert names == list("abc")


def test_kaplan_meier_is_that_of_lifelines(rossi, axis):
    from lifelines import KaplanMeierFitter

    _, X, y = rossi
    ss.plots.kaplan_meier(y, X["fin"], axes=axis)
    times = np.arange(0.5, 52)
    for line, value in zip(curves_of(axis), (0, 1), strict=True):
        keep = (X["fin"] == value).to_numpy()
        peer = KaplanMeierFitter().fit(y.time[keep], y.event[keep])
        expected = peer.survival_function_at_times(times).to_numpy()
        assert value_at(line, times) == pytest.approx(expected)


def test_all_rows_together_without_ticks(rossi, axis):
    _, _, y = rossi
    ss.plots.kaplan_meier(y, censoring=False, axes=axis)
    assert len(axis.lines) == 1
    assert axis.get_legend() is None
    numbers, at = table_of(axis, 1)
    assert numbers[0].tolist() == slow_counts(y, at, slice(None))
    assert [t.get_text() for t in axis.texts if t.get_ha() == "right"] == ["at risk"]


def test_many_ticks_of_censoring_are_left_out_unless_asked_for():
    y = ss.Surv(np.arange(1, 302.0), np.arange(301) % 3 == 0)
    assert np.sum(~y.event) == 200
    for rows, censoring, n in [
        (y, None, 2),
        (ss.Surv(np.r_[y.time, 302.0], np.r_[y.event, False]), None, 1),
        (ss.Surv(np.r_[y.time, 302.0], np.r_[y.event, False]), True, 2),
    ]:
        drawn = Figure().subplots()
        ss.plots.kaplan_meier(rows, censoring=censoring, axes=drawn)
        assert len(drawn.lines) == n


def test_late_entry_weights_and_odd_labels(axis):
    time, entry = [1.0, 2.0, 3.0, 10.0], [0.0, 0.0, 1.5, 2.5]
    weights = [1.0, 0.5, 2.0, 1.0]
    y = ss.Surv(time, [1, 0, 1, 1], entry=entry, weights=weights)
    ss.plots.kaplan_meier(y, axes=axis)
    words = [t.get_text() for t in axis.texts if t.get_ha() == "center"]
    _, at = table_of(axis, 1)
    assert dict(zip(at, words, strict=True))[0.0] == "1.5"  # rows that enter at 0
    assert dict(zip(at, words, strict=True))[2.0] == "2.5"
    by = pd.Series(pd.Categorical(["yes", "no", "no", "yes"], ["yes", "no"]))
    other = Figure().subplots()
    ss.plots.kaplan_meier(y, by, axes=other)
    names = [t.get_text() for t in other.get_legend().get_texts()]
    found = ss.survival.kaplan_meier(y, by).table.index.unique("group")
    assert names == list(found)
    last = Figure().subplots()
    ss.plots.kaplan_meier(y, np.array([True, False, False, True]), axes=last)
    assert [t.get_text() for t in last.get_legend().get_texts()] == ["False", "True"]


def test_ticks_are_round_and_counted_where_they_stand(axis):
    y = ss.Surv([0.1, 0.2, 0.3, 0.3, 0.4, 0.5])
    ss.plots.kaplan_meier(y, axes=axis)
    numbers, at = table_of(axis, 1)
    assert at.tolist() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert numbers[0].tolist() == [6, 6, 5, 4, 2, 1]


def test_the_numbers_lie_below_the_axis_and_beside_each_other(trial):
    y, group = trial
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = ss.plots.kaplan_meier(y, group, axes=figure.subplots())
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in axis.texts]
    label = axis.xaxis.label.get_window_extent()
    assert all(box.y1 < label.y0 for box in boxes)
    assert all(box.x0 >= 0 and box.y0 >= 0 for box in boxes)
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[:i])


def test_bad_groups_and_options(trial, axis):
    y, group = trial
    with pytest.raises(ParameterError, match="censoring"):
        ss.plots.kaplan_meier(y, group, censoring="yes", axes=axis)
    with pytest.raises(ParameterError, match="level"):
        ss.plots.kaplan_meier(y, group, level=1.0, axes=axis)
    with pytest.raises(DataError, match="150 rows"):
        ss.plots.kaplan_meier(y, group[:3], axes=axis)
    with pytest.raises(DataError, match=r"1 to 21 curves .* fewer groups"):
        ss.plots.kaplan_meier(y, np.arange(150), axes=axis)


def test_risk_strata(rossi, axis):
    model, X, y = rossi
    strata = ss.metrics.km_strata(y, model.predict(X), 3, times=[0, 20, 40])
    ss.plots.risk_strata(strata, axes=axis)
    curves = curves_of(axis)
    ticks = [line for line in axis.lines if line.get_marker() == "|"]
    times = np.arange(0.5, 52, 3)
    estimate = ss.survival.kaplan_meier(y, strata.group)
    for g in range(3):
        assert value_at(curves[g], times) == pytest.approx(estimate.estimate(times)[g])
        low, high = estimate.lower(times)[g], estimate.upper(times)[g]
        got = limits_at(axis.collections[g], times)
        assert got == pytest.approx(np.c_[low, high], abs=1e-8)
        mine = y[strata.group == g]
        assert ticks[g].get_xdata() == pytest.approx(np.unique(mine.time[~mine.event]))
    numbers, at = table_of(axis, 3)
    assert at.tolist() == [0, 20, 40]
    assert (numbers == strata.at_risk.to_numpy()).all()
    names = [t.get_text() for t in axis.get_legend().get_texts()]
    assert names == ["1 (lowest risk)", "2", "3 (highest risk)"]
    with pytest.raises(DataError, match="2 labels are given for 3"):
        ss.plots.risk_strata(strata, labels=["low", "high"], axes=axis)


@pytest.mark.parametrize(("last", "ticks"), [(1, [2.0]), (0, [2.0, 3.0])])
def test_the_last_row_has_a_tick_if_it_is_censored(axis, last, ticks):
    y = ss.Surv([1.0, 2.0, 3.0], [1, 0, last])
    ss.plots.risk_strata(ss.metrics.km_strata(y, [1.0, 2.0, 3.0], 1), axes=axis)
    assert axis.lines[1].get_xdata().tolist() == ticks
    assert axis.get_legend() is None


def test_cumulative_incidence_of_all_causes(trial, axis):
    y, _ = trial
    ss.plots.cumulative_incidence(y, axes=axis)
    times = np.linspace(0.05, y.time.max() - 0.05, 12)
    total = np.zeros(len(times))
    for k, cause in enumerate(["death", "relapse"]):
        estimate = ss.survival.aalen_johansen(y, cause)
        drawn = value_at(axis.lines[k], times)
        assert drawn == pytest.approx(estimate.estimate(times)[0])
        low, high = estimate.lower(times)[0], estimate.upper(times)[0]
        got = limits_at(axis.collections[k], times)
        assert got == pytest.approx(np.c_[low, high], abs=1e-8)
        total += drawn
    alive = ss.survival.kaplan_meier(y).estimate(times)[0]
    assert total == pytest.approx(1 - alive)
    texts = [t.get_text() for t in axis.get_legend().get_texts()]
    assert texts == ["death", "relapse"]
    numbers, at = table_of(axis, 1)
    assert numbers[0].tolist() == slow_counts(y, at, slice(None))


def test_cumulative_incidence_by_group(trial, axis):
    y, group = trial
    ss.plots.cumulative_incidence(y, groups=group, axes=axis)
    styles = [(line.get_color(), line.get_linestyle()) for line in axis.lines]
    assert len(set(styles)) == 6
    assert len({color for color, _ in styles}) == 2
    texts = [t.get_text() for t in axis.get_legend().get_texts()]
    assert texts[:2] == ["death, a", "death, b"]
    one = ss.plots.cumulative_incidence(y, "death", group, axes=Figure().subplots())
    assert [t.get_text() for t in one.get_legend().get_texts()] == list("abc")
    assert one.get_ylabel() == "cumulative incidence of death"
    estimate = ss.survival.aalen_johansen(y, "death", group).estimate
    for g, line in enumerate(one.lines):
        assert value_at(line, [1.05, 2.05]) == pytest.approx(estimate([1.05, 2.05])[g])


def test_bad_causes(trial, rossi, axis):
    y, _ = trial
    with pytest.raises(TargetError, match=r"no causes; give Surv"):
        ss.plots.cumulative_incidence(rossi[2], axes=axis)
    with pytest.raises(TargetError, match="Did you mean 'death'"):
        ss.plots.cumulative_incidence(y, "deaths", axes=axis)
    with pytest.raises(DataError, match="2 causes in 4 groups cannot be told apart"):
        ss.plots.cumulative_incidence(y, groups=np.arange(150) % 4, axes=axis)


def test_calibration(rossi, axis):
    model, X, y = rossi
    curves = model.predict_survival_function(X)
    table = ss.metrics.calibration_curve(y, curves, 50, bins=5)
    smooth = ss.metrics.ici(y, curves, 50)
    ss.plots.calibration(table, smooth=smooth, axes=axis)
    (container,) = axis.containers
    points, _, (bars,) = container
    assert points.get_xdata() == pytest.approx(table["predicted"].to_numpy())
    assert points.get_ydata() == pytest.approx(table["observed"].to_numpy())
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert ends == pytest.approx(table[["lower", "upper"]].to_numpy())
    by_label = {line.get_label(): line for line in axis.lines}
    diagonal = by_label["ideal"]
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    line = by_label["smooth"]
    assert line.get_xdata() == pytest.approx(np.sort(smooth.predicted))
    expected = smooth.observed[np.argsort(smooth.predicted)]
    assert line.get_ydata() == pytest.approx(expected)
    assert axis.get_xlim() == axis.get_ylim()
    assert axis.get_xlim()[1] >= max(ends.max(), smooth.predicted.max())


def test_calibration_without_observation(rossi, axis):
    model, X, y = rossi
    table = ss.metrics.calibration_curve(y, model.predict_survival_function(X), 50)
    table.loc[0, ["observed", "lower", "upper"]] = np.nan
    ss.plots.calibration(table, axes=axis)
    assert len(axis.containers[0][0].get_xdata()) == len(table) - 1
    with pytest.raises(DataError, match="every group is NaN"):
        ss.plots.calibration(table.assign(observed=np.nan), axes=axis)
    with pytest.raises(DataError, match=r"no column 'lower'.*calibration_curve"):
        ss.plots.calibration(table.drop(columns="lower"), axes=axis)


def test_decision_curve(rossi, axis):
    model, X, y = rossi
    full = ss.metrics.decision_curve(y, model.predict_survival_function(X), 50)
    small = ss.SemiStructuredSurvival("fin").fit(X, y).predict_survival_function(X)
    other = ss.metrics.decision_curve(y, small, 50)
    ss.plots.decision_curve({"full": full, "fin": other}, axes=axis)
    lines = {line.get_label(): line for line in axis.lines}
    assert list(lines) == ["full", "fin", "treat all", "treat none"]
    expected = {"full": full["model"], "fin": other["model"], "treat all": full["all"]}
    for name, values in expected.items():
        assert lines[name].get_xdata() == pytest.approx(full["threshold"].to_numpy())
        assert lines[name].get_ydata() == pytest.approx(values.to_numpy())
    assert not np.any(lines["treat none"].get_ydata())
    low, high = axis.get_ylim()
    assert low <= min(full["model"].min(), other["model"].min())
    assert high >= full["all"].max()


def test_bad_decision_curves(rossi, axis):
    model, X, y = rossi
    curves = model.predict_survival_function(X)
    tables = {str(t): ss.metrics.decision_curve(y, curves, t) for t in (30, 50)}
    with pytest.raises(DataError, match="tables of '30' and '50' are not of the same"):
        ss.plots.decision_curve(tables, axes=axis)
    with pytest.raises(DataError, match="1 to 7 tables can be told apart; got 0"):
        ss.plots.decision_curve({}, axes=axis)
    with pytest.raises(DataError, match="no column 'all'"):
        ss.plots.decision_curve(tables["30"].drop(columns="all"), axes=axis)
