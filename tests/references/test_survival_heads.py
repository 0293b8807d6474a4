"""Whole survival models against R: survreg, coxph with survfit, mgcv on long rows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import semistruct as ss

HERE = Path(__file__).parent
REF = json.loads((HERE / "survival_heads.json").read_text())
NEW = pd.DataFrame(REF["new"])


@pytest.fixture(scope="module")
def veteran():
    table = pd.read_csv(HERE / "data" / "veteran.csv")
    row = np.arange(1, len(table) + 1)
    return table[["trt", "karno", "celltype"]], table, 1.0 + row % 3, row // 2


@pytest.mark.parametrize("ref", REF["aft"], ids=[r["dist"] for r in REF["aft"]])
def test_accelerated_failure_times(veteran, ref):
    X, table, weight, _ = veteran
    y = ss.Surv(table["time"], table["status"])
    model = ss.SemiStructuredSurvival("trt + karno", head=ref["dist"])
    model.fit(X, y, weight)
    expected = np.append(ref["coef"], ref["log_scale"])
    error = np.sqrt(np.diag(ref["var"]))
    np.testing.assert_array_less(np.abs(model.params_ - expected), 1e-5 * error)
    np.testing.assert_allclose(model.cov_params_, ref["var"], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(model.exact_.loglik, ref["loglik"], rtol=1e-9)
    found = np.log(model.predict_quantile(NEW, [0.25, 0.5]))
    np.testing.assert_allclose(found, ref["log_quantile"], rtol=1e-6)
    # at the quantile q of a row the limits of log Λ and of log q say the same error
    for i in range(len(NEW)):
        for j, p in enumerate([0.25, 0.5]):
            at = np.exp(ref["log_quantile"][i][j])
            band = model.predict_survival_band(NEW[i : i + 1], times=[at])
            step = 1e-5 * at
            sides = model.predict_cumulative_hazard_function(
                NEW[i : i + 1], times=[at - step, at + step]
            ).values[0]
            slope = (sides[1] - sides[0]) / 2e-5  # dΛ / d log t
            se = band.std_error.values[0, 0] / slope
            np.testing.assert_allclose(se, ref["se"][i][j], rtol=1e-4)
            np.testing.assert_allclose(sides.mean(), -np.log1p(-p), rtol=1e-6)


def test_cox_curves_of_strata(veteran):
    X, table, weight, _ = veteran
    y = ss.Surv(
        table["time"], table["status"], strata=table["celltype"], weights=weight
    )
    ref = REF["cox"]
    model = ss.SemiStructuredSurvival("trt + karno").fit(X, y)
    error = np.sqrt(np.diag(ref["var"]))
    np.testing.assert_array_less(np.abs(model.coef_ - ref["coef"]), 1e-6 * error)
    np.testing.assert_allclose(model.cov_params_, ref["var"], rtol=1e-6)
    strata = NEW["celltype"]
    band = model.predict_survival_band(NEW, strata, times=ref["times"])
    area = model.predict_restricted_mean_interval(NEW, 200.0, strata)
    for i, curve in enumerate(ref["curves"]):
        for name, key in (("estimate", "surv"), ("lower", "lower"), ("upper", "upper")):
            found = getattr(band, name).values[i]
            np.testing.assert_allclose(found, curve[key], rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(area["estimate"].iloc[i], curve["rmean"], rtol=1e-6)


def test_cox_sandwich_of_weighted_clusters(veteran):
    X, table, weight, half = veteran
    y = ss.Surv(table["time"], table["status"], id=half, weights=weight)
    model = ss.SemiStructuredSurvival("trt + karno", covariance="robust").fit(X, y)
    error = np.sqrt(np.diag(REF["cluster"]["var"]))
    apart = np.abs(model.coef_ - REF["cluster"]["coef"])
    np.testing.assert_array_less(apart, 1e-6 * error)
    np.testing.assert_allclose(model.cov_params_, REF["cluster"]["var"], rtol=1e-6)


def test_a_piecewise_model_with_a_smooth_baseline(veteran):
    X, table, *_ = veteran
    y, ref = ss.Surv(table["time"], table["status"]), REF["pamm"]
    terms = "s(time, bs='ps', k=8) + trt + karno"
    head = ss.heads.PAMM(cuts=ref["cuts"])
    model = ss.SemiStructuredSurvival(terms, head=head).fit(X, y)
    names = ["trt", "karno"]
    error = np.sqrt(np.diag(ref["var"]))
    apart = np.abs(model.params_[names] - ref["coef"])
    np.testing.assert_array_less(apart, 1e-3 * error)
    found = model.cov_params_.loc[names, names]
    np.testing.assert_allclose(found, ref["var"], rtol=1e-3)
    np.testing.assert_allclose(model.exact_.edf.sum(), ref["edf"], rtol=1e-3)
    band = model.predict_survival_band(NEW, times=ref["cuts"])
    for i, row in enumerate(ref["rows"]):
        hazard = -np.log(band.estimate.values[i])
        np.testing.assert_allclose(hazard, row["hazard"], rtol=1e-3)
        np.testing.assert_allclose(band.std_error.values[i], row["se"], rtol=2e-3)
