"""The exact Cox path against R's survival, fit by fit."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from semistruct.families import cox_log_likelihood
from semistruct.inference import RiskRows, cox_covariance
from semistruct.solvers import baseline_hazard, fit_cox, fit_cox_on, risk_sets

HERE = Path(__file__).parent
FITS = json.loads((HERE / "cox.json").read_text())["cox"]


@cache
def table(name):
    return pd.read_csv(HERE / "data" / f"{name}.csv")


def codes(series):
    """Treatment contrasts of a categorical column, or the numbers of a numeric one."""
    if series.dtype == object:
        dummies = pd.get_dummies(series.astype("category"), drop_first=True)
        return dummies.to_numpy(float)
    return series.to_numpy(float)[:, None]


def columns(frame, names):
    return np.hstack([codes(frame[name]) for name in names.split()])


def case(index):
    """Design, time, event and options of one fit."""
    frame = table(FITS[index]["data"])
    options = {}
    if index in (0, 1):
        x = columns(frame, "fin age race wexp mar paro prio")
        time, event = frame["week"], frame["arrest"]
        options["ties"] = "breslow" if index == 1 else "efron"
    elif index == 2:
        x = columns(frame, "trt celltype karno diagtime age prior")
        time, event = frame["time"], frame["status"]
    elif index == 3:
        x = columns(frame, "trt karno")
        time, event = frame["time"], frame["status"]
        options["strata"] = frame["celltype"].to_numpy()
    elif index == 4:
        x = columns(frame, "age sex")
        time, event = frame["time"], frame["status"]
        event = event - 1 if event.max() == 2 else event
    elif index == 5:
        logs = np.log(columns(frame, "bili albumin protime"))
        x = np.hstack([columns(frame, "age edema"), logs])
        time, event = frame["time"], frame["status"] == 2
        whole = np.isfinite(x).all(axis=1)  # coxph leaves incomplete rows out
        x, time, event = x[whole], time[whole], event[whole]
    elif index == 6:
        x = columns(frame, "horTh age menostat tgrade tsize pnodes progrec estrec")
        time, event = frame["time"], frame["cens"]
    elif index == 7:
        x = columns(frame, "age ecog.ps")
        time, event = frame["futime"], frame["fustat"]
    elif index == 8:
        x = columns(frame, "age year surgery transplant")
        time, event = frame["stop"], frame["event"]
        options["entry"] = frame["start"].to_numpy(float)
    elif index == 9:
        x = columns(frame, "rx size number")
        time, event = frame["stop"], frame["event"]
        options["entry"] = frame["start"].to_numpy(float)
        options["strata"] = frame["enum"].to_numpy(int)
    else:
        x = columns(frame, "trt karno")
        time, event = frame["time"], frame["status"]
        options["sample_weight"] = np.resize([1.0, 2.0], len(frame))
    assert np.isfinite(x).all()
    return x, time.to_numpy(float), event.to_numpy(int), options


@cache
def fitted(index):
    x, time, event, options = case(index)
    return fit_cox(x, time, event, **options)


names = [f"{i}-{fit['data']}" for i, fit in enumerate(FITS)]
every_fit = pytest.mark.parametrize("index", range(len(FITS)), ids=names)


def test_all_fits_are_there():
    assert len(FITS) == 11


@every_fit
def test_coefficients_errors_and_likelihood(index):
    reference, fit = FITS[index], fitted(index)
    error = np.array(reference["se"])
    assert fit.converged
    assert len(fit.linear_predictor) == reference["n"]
    np.testing.assert_allclose((fit.coef - reference["estimate"]) / error, 0, atol=1e-6)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.cov)), error, rtol=1e-6)
    assert fit.loglik == pytest.approx(reference["loglik"][1], abs=1e-5)


@every_fit
def test_null_log_likelihood_of_solver_and_torch(index):
    x, time, event, options = case(index)
    null = fit_cox(np.zeros((len(x), 0)), time, event, **options)
    assert null.loglik == pytest.approx(FITS[index]["loglik"][0], abs=1e-5)
    options["weight"] = options.pop("sample_weight", None)
    value = cox_log_likelihood(
        torch.from_numpy(fitted(index).linear_predictor[:, 0]), time, event, **options
    )
    assert value.item() == pytest.approx(FITS[index]["loglik"][1], abs=1e-5)


@every_fit
def test_baseline_hazard_at_zero(index):
    _, time, event, options = case(index)
    fit = fitted(index)
    curves = baseline_hazard(fit.linear_predictor, time, event, **options)
    rows = FITS[index]["basehaz_head"] + FITS[index]["basehaz_tail"]
    for row in rows:
        key = row.get("strata")
        if "enum" in FITS[index]["call"]:
            key = int(key.removeprefix("enum="))
        times, hazard = curves[key]
        place = np.searchsorted(times, row["time"], side="right") - 1
        value = hazard[place] if place >= 0 else 0.0
        assert value == pytest.approx(row["hazard"], rel=1e-6, abs=1e-300)


def test_martingale_residuals_from_the_working_weight():
    for index, reference in enumerate(FITS):
        _, _, event, options = case(index)
        weight = options.get("sample_weight", np.ones(len(event)))
        expected = fitted(index).working_weight[:, 0] / weight
        residual = (event - expected)[:5]
        head = reference["residuals_head"]["martingale"]
        np.testing.assert_allclose(residual, head, atol=1e-5)


def test_cluster_robust_errors_from_the_pieces_of_a_fit():
    x, time, event, options = case(9)
    sets = risk_sets(time, event, **options)
    fit = fit_cox_on(sets, x)
    rows = RiskRows(sets, x, fit.linear_predictor)
    robust = cox_covariance("cluster", rows, fit.cov, table("bladder2")["id"])
    np.testing.assert_allclose(
        np.sqrt(np.diag(robust)), FITS[9]["robust_se"], rtol=1e-6
    )
