"""Every measure at the edges: horizons, no weights left, no events, time 0."""

import numpy as np
import pytest

from semistruct import StepFunction, Surv, metrics
from semistruct.exceptions import DataError, TargetError
from semistruct.metrics import CensoringDistribution

N = 6
Y = Surv([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1, 0, 1, 1, 0, 0])
CAUSED = Surv(Y.time, Y.event, cause=np.array(["a", "", "b", "a", "", ""]))
RISK = np.linspace(1, 0, N)
CURVES = StepFunction([1.0, 3.0], np.column_stack([1 - RISK / 2, 1 - RISK]))
INCIDENCE = StepFunction([1.0, 3.0], np.column_stack([RISK / 2, RISK]), before=0.0)

AT_A_TIME = {
    "ici": lambda y, t: metrics.ici(y, CURVES, t),
    "calibration_slope": lambda y, t: metrics.calibration_slope(y, CURVES, t),
    "calibration_intercept": lambda y, t: metrics.calibration_intercept(y, CURVES, t),
    "calibration_curve": lambda y, t: metrics.calibration_curve(y, CURVES, t),
    "decision_curve": lambda y, t: metrics.decision_curve(y, CURVES, t),
}
CENSORED = {
    "brier_score": lambda g, y, t: metrics.brier_score(g, y, CURVES, t),
    "integrated_brier_score": (
        lambda g, y, t: metrics.integrated_brier_score(g, y, CURVES, [1, t])
    ),
    "negative_binomial_log_likelihood": (
        lambda g, y, t: metrics.negative_binomial_log_likelihood(g, y, CURVES, t)
    ),
    "integrated_negative_binomial_log_likelihood": (
        lambda g, y, t: metrics.integrated_negative_binomial_log_likelihood(
            g, y, CURVES, [1, t]
        )
    ),
    "cumulative_dynamic_auc": (
        lambda g, y, t: metrics.cumulative_dynamic_auc(g, y, RISK, t)
    ),
}
OF_A_CAUSE = {
    "cause_auc": lambda g, y, t: metrics.cause_auc(g, y, RISK, t, cause="a"),
    "cause_brier_score": (
        lambda g, y, t: metrics.cause_brier_score(g, y, INCIDENCE, t, cause="a")
    ),
}
ALL = {name: (call, Y) for name, call in CENSORED.items()}
ALL |= {name: (call, CAUSED) for name, call in OF_A_CAUSE.items()}


@pytest.mark.parametrize("name", AT_A_TIME)
@pytest.mark.parametrize("time", [6.0, 7.5])
def test_times_from_the_horizon_on_are_refused_by_name(name, time):
    message = rf"{name}\(\): times must lie before the horizon of y, 6; the largest is"
    with pytest.raises(DataError, match=message):
        AT_A_TIME[name](Y, time)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("time", [6.0, 7.5])
def test_censored_measures_refuse_times_from_the_horizon_on(name, time):
    call, y = ALL[name]
    message = rf"{name}\(\): times must lie before the horizon of y, 6; the largest is"
    with pytest.raises(DataError, match=message):
        call(y, y, time)


@pytest.mark.parametrize("name", ALL)
def test_times_beyond_the_training_data_are_refused(name):
    call, y = ALL[name]
    with pytest.raises(DataError, match="known up to the horizon of the training data"):
        call(Surv([1.0, 2.0, 3.0], [0, 1, 0])[[0, 1, 1]], y, 4.5)


NOBODY = CensoringDistribution([2.0, 3.5], [0.5, 0.0], np.inf, np.linspace(0, 6, 101))


@pytest.mark.parametrize("name", ALL)
def test_a_censoring_distribution_of_zero_says_where_and_offers_truncation(name):
    call, y = ALL[name]
    words = r"is zero at time 3\.5, but is needed at time .*truncate=0\.05"
    with pytest.raises(DataError, match=words):
        call(NOBODY, y, 4.5)
    kept = CensoringDistribution(
        NOBODY.times, NOBODY.values, np.inf, NOBODY.event_quantiles, truncate=0.05
    )
    found = call(kept, y, 4.5)
    value = found.estimate if hasattr(found, "estimate") else found
    assert np.isfinite(value).all()


@pytest.mark.parametrize(
    "ask",
    [
        lambda: metrics.uno(NOBODY, Y, RISK),
        lambda: metrics.cause_concordance(NOBODY, CAUSED, RISK, cause="a"),
    ],
)
def test_concordances_say_the_same(ask):
    with pytest.raises(DataError, match=r"zero at time 3\.5.*tau < 3\.5"):
        ask()


def test_nobody_with_an_event():
    none = Surv(Y.time, np.zeros(N))
    for ask in (
        lambda: metrics.harrell(none, RISK),
        lambda: metrics.uno(Y, none, RISK),
        lambda: metrics.antolini(none, CURVES),
    ):
        with pytest.raises(DataError, match="No pair of rows is comparable"):
            ask()
    with pytest.raises(DataError, match="no event up to time 3"):
        metrics.cumulative_dynamic_auc(Y, none, RISK, 3)
    with pytest.raises(DataError, match="y has no event"):
        metrics.ici(none, CURVES, 3)
    caused = Surv(Y.time, np.zeros(N), cause=CAUSED.cause)
    with pytest.raises(TargetError, match="no event of y has the cause 'a'"):
        metrics.cause_brier_score(Y, caused, INCIDENCE, 3, cause="a")


def test_a_stratum_without_events_has_no_pairs():
    y = Surv(Y.time, [1, 1, 1, 0, 0, 0], strata=[0, 0, 0, 1, 1, 1])
    alone = metrics.harrell(y[:3], RISK[:3])
    assert float(metrics.harrell(y, RISK)) == float(alone)


def test_events_at_time_0_are_in_the_curves_of_risk_groups():
    y = Surv([0.0, 0.0, 1.0, 2.0, 2.0, 3.0], [1, 0, 1, 1, 0, 1])
    found = metrics.km_strata(y, [1, 1, 1, 1, 2, 2], [1.5]).curves
    first, second = (found[found["group"] == g] for g in (0, 1))
    assert first["time"].tolist() == [0.0, 1.0, 2.0]
    assert first["survival"].tolist() == pytest.approx([0.75, 0.375, 0.0])
    assert first[["at_risk", "events"]].iloc[0].tolist() == [4, 1]
    assert second["time"].tolist() == [0.0, 2.0, 3.0]
    assert second["survival"].tolist() == [1.0, 1.0, 0.0]


def test_events_at_time_0_count_everywhere():
    y = Surv([0.0, 1.0, 2.0, 3.0], [1, 1, 0, 1])
    assert float(metrics.harrell(y, [4, 3, 2, 1])) == 1.0
    score = metrics.brier_score(y, y, np.array([[0.0], [0.0], [1.0], [1.0]]), 1.5)
    assert score.estimate[0] == 0.0
