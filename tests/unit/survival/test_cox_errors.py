"""What residuals, tests and curves of a Cox model refuse."""

import numpy as np
import pytest

from semistruct.exceptions import DataError, ParameterError, TargetError
from semistruct.inference import (
    CoxBaseline,
    CoxRows,
    cox_ph_test,
    cox_sandwich,
    cox_survival_band,
    dfbeta,
    martingale_residuals,
)


def simulate(seed, n=60):
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(n, 3)),
        "eta": rng.normal(size=n),
        "time": rng.exponential(size=n) + 1,
        "event": rng.random(n) < 0.7,
        "entry": rng.random(n),
        "strata": np.array(["a", "b"])[rng.integers(0, 2, n)],
    }


def rows_of(data, ties="efron", **changes):
    data = {**data, **changes}
    x, *rest = (data[k] for k in ("x", "eta", "time", "event"))
    return CoxRows(x, *rest, entry=data["entry"], strata=data["strata"], ties=ties)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"eta": np.zeros(59)}, DataError, "linear_predictor has 59 rows"),
        ({"eta": np.full(60, np.nan)}, DataError, "is nan in row 0"),
        ({"event": np.zeros(60)}, TargetError, "nothing to diagnose"),
        ({"entry": np.full(60, 99.0)}, TargetError, "entry must lie below time"),
        ({"ties": "exact"}, ParameterError, "ties"),
        ({"eta": np.r_[800.0, np.zeros(59)]}, DataError, "too far below"),
    ],
)
def test_errors(changes, error, message):
    data = simulate(0)
    if "too far" in message:  # the first row leaves first, of one stratum
        data["time"][0], data["event"][0] = 0.01, True
        data["entry"][:], data["strata"][:] = 0.0, "a"
    with pytest.raises(error, match=message):
        martingale_residuals(rows_of(data, **changes))


def test_shapes_of_covariances_and_clusters():
    rows = rows_of(simulate(0))
    with pytest.raises(DataError, match=r"dfbeta: cov has shape \(2, 2\)"):
        dfbeta(rows, np.eye(2))
    with pytest.raises(DataError, match="clusters has shape"):
        cox_sandwich(rows, np.eye(3), [1, 2])


def test_errors_of_the_test():
    data = simulate(0)
    with pytest.raises(ParameterError, match="transform"):
        cox_ph_test(rows_of(data), {"x": [0]}, transform="sqrt")
    rows = CoxRows([[0.0], [1.0], [2.0]], np.zeros(3), [0.0, 1.0, 2.0], [1, 1, 0])
    with pytest.raises(DataError, match="-inf at the event time 0"):
        cox_ph_test(rows, {"x": [0]}, transform="log")


def test_errors_of_bands():
    base = CoxBaseline.from_rows(rows_of(simulate(0)))
    x, cov = np.zeros((2, 3)), np.eye(3)
    with pytest.raises(DataError, match=r"had strata; give strata="):
        cox_survival_band(base, x, [0, 0], cov)
    with pytest.raises(DataError, match="row 1 is in stratum 'c'"):
        cox_survival_band(base, x, [0, 0], cov, strata=["a", "c"])
    with pytest.raises(DataError, match="strata has 1 rows"):
        cox_survival_band(base, x, [0, 0], cov, strata=["a"])
    with pytest.raises(DataError, match="do not fit a model of 3 columns"):
        cox_survival_band(base, x[:, :2], [0, 0], cov, strata=["a", "b"])
    with pytest.raises(ParameterError, match="transform"):
        cox_survival_band(base, x, [0, 0], cov, strata=["a", "b"], transform="logit")
