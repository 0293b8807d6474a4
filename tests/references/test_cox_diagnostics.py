"""Diagnostics and curves of survival data against R's survival."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semistruct import Surv
from semistruct.inference import (
    CoxBaseline,
    CoxRows,
    cox_ph_test,
    cox_sandwich,
    cox_survival_band,
    deviance_residuals,
    dfbeta,
    dfbetas,
    martingale_residuals,
    scaled_schoenfeld_residuals,
    schoenfeld_residuals,
    score_residuals,
)
from semistruct.solvers import fit_cox
from semistruct.survival import (
    aalen_johansen,
    kaplan_meier,
    log_rank,
    nelson_aalen,
    numbers_at_risk,
    restricted_mean,
    survival_quantile,
)

HERE = Path(__file__).parent
FITS = json.loads((HERE / "cox.json").read_text())["cox"]
MORE = json.loads((HERE / "cox_diagnostics.json").read_text())


@cache
def table(name):
    return pd.read_csv(HERE / "data" / f"{name}.csv")


def columns(frame, names):
    """Treatment contrasts of categorical columns, numbers as they are."""
    parts = []
    for name in names.split():
        series = frame[name]
        if series.dtype == object:
            series = pd.get_dummies(series.astype("category"), drop_first=True)
        parts.append(series.to_numpy(float).reshape(len(frame), -1))
    return np.hstack(parts)


def case(index):
    """Design, time, event and options of one fit of cox.json."""
    frame = table(FITS[index]["data"])
    options = {"ties": "breslow" if index == 1 else "efron"}
    if index in (0, 1):
        x = columns(frame, "fin age race wexp mar paro prio")
        time, event = frame["week"], frame["arrest"]
    elif index == 2:
        x = columns(frame, "trt celltype karno diagtime age prior")
        time, event = frame["time"], frame["status"]
    elif index in (3, 10):
        x = columns(frame, "trt karno")
        time, event = frame["time"], frame["status"]
        if index == 3:
            options["strata"] = frame["celltype"].to_numpy()
        else:
            options["sample_weight"] = np.resize([1.0, 2.0], len(frame))
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
    else:
        names = "age year surgery transplant" if index == 8 else "rx size number"
        x = columns(frame, names)
        time, event = frame["stop"], frame["event"]
        options["entry"] = frame["start"].to_numpy(float)
        if index == 9:
            options["strata"] = frame["enum"].to_numpy(int)
    return x, time.to_numpy(float), event.to_numpy(int), options


@cache
def fitted(index):
    x, time, event, options = case(index)
    fit = fit_cox(x, time, event, **options)
    return fit, CoxRows(x, fit.linear_predictor, time, event, **options)


every_fit = pytest.mark.parametrize(
    "index", range(11), ids=[f"{i}-{fit['data']}" for i, fit in enumerate(FITS)]
)


def close(ours, theirs, tolerance):
    theirs = np.array(theirs, dtype=float)
    ours = np.asarray(ours)[: len(theirs)].reshape(theirs.shape)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


# -- the eleven fits of cox.json ------------------------------------------------------


@every_fit
def test_residual_heads(index):
    fit, rows = fitted(index)
    head = FITS[index]["residuals_head"]
    close(martingale_residuals(rows), head["martingale"], 1e-6)
    close(deviance_residuals(rows), head["deviance"], 1e-6)
    close(score_residuals(rows), head["score"], 1e-6)
    close(schoenfeld_residuals(rows).values, head["schoenfeld"], 1e-6)
    close(dfbeta(rows, fit.cov), head["dfbeta"], 1e-8)


@every_fit
def test_proportional_hazards(index):
    _, rows = fitted(index)
    reference = FITS[index]["zph"]
    stops = np.cumsum(reference["df"][:-1])
    names = reference["names"][:-1]
    terms = {
        name: range(stop - df, stop)
        for name, stop, df in zip(names, stops, reference["df"], strict=False)
    }
    found = cox_ph_test(rows, terms)
    assert list(found.index) == reference["names"]
    assert found["df"].tolist() == reference["df"]
    np.testing.assert_allclose(found["chi2"], reference["chisq"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found["p"], reference["p"], rtol=0, atol=1e-7)


def test_cluster_robust_errors():
    fit, rows = fitted(9)
    robust = cox_sandwich(rows, fit.cov, table("bladder2")["id"])
    np.testing.assert_allclose(
        np.sqrt(np.diag(robust)), FITS[9]["robust_se"], rtol=1e-9
    )


# -- late entry, strata, case weights and ties at once --------------------------------


@cache
def heart(ties):
    frame = table("heart")
    x = columns(frame, "age year transplant")
    options = {
        "entry": frame["start"].to_numpy(),
        "strata": frame["surgery"].to_numpy(int),
        "sample_weight": np.resize([1.0, 2.0, 0.5], len(frame)),
        "ties": ties,
    }
    time, event = frame["stop"].to_numpy(), frame["event"].to_numpy(int)
    fit = fit_cox(x, time, event, **options)
    return fit, CoxRows(x, fit.linear_predictor, time, event, **options)


both_ties = pytest.mark.parametrize(
    "reference", MORE["heart"], ids=["efron", "breslow"]
)


@both_ties
def test_every_residual(reference):
    fit, rows = heart(reference["ties"])
    found = {
        "martingale": martingale_residuals(rows)[:, None],
        "deviance": deviance_residuals(rows)[:, None],
        "score": score_residuals(rows),
        "schoenfeld": schoenfeld_residuals(rows).values,
        "scaledsch": scaled_schoenfeld_residuals(rows, fit.coef, fit.cov).values,
        "dfbeta": dfbeta(rows, fit.cov),
        "dfbetas": dfbetas(rows, fit.cov),
    }
    assert list(found) == list(reference["residuals"])
    for kind, values in reference["residuals"].items():
        close(found[kind][::9], values, 1e-8)


@both_ties
@pytest.mark.parametrize("transform", ["km", "rank", "identity", "log"])
def test_transforms_of_time(reference, transform):
    _, rows = heart(reference["ties"])
    terms = {name: [i] for i, name in enumerate(["age", "year", "transplant"])}
    found = cox_ph_test(rows, terms, transform=transform)
    np.testing.assert_allclose(found, reference["zph"][transform], rtol=1e-8)


@both_ties
def test_robust_and_cluster_covariance(reference):
    fit, rows = heart(reference["ties"])
    ids = table("heart")["id"]
    np.testing.assert_allclose(
        cox_sandwich(rows, fit.cov), reference["robust"], rtol=1e-7, atol=1e-12
    )
    np.testing.assert_allclose(
        cox_sandwich(rows, fit.cov, ids), reference["cluster"], rtol=1e-7, atol=1e-12
    )


@both_ties
@pytest.mark.parametrize("transform", ["log-log", "log", "plain"])
def test_limits_of_predicted_curves(reference, transform):
    fit, rows = heart(reference["ties"])
    new = np.array([[-10.0, 1, 0], [5, 4, 1]])
    base = CoxBaseline.from_state(CoxBaseline.from_rows(rows).to_state())
    band = cox_survival_band(
        base, new, new @ fit.coef, fit.cov, strata=[0, 1], transform=transform
    )
    for i, expected in enumerate(reference["band"][transform]):
        at = expected["time"]
        for name, curve in (
            ("surv", band.estimate),
            ("error", band.std_error),
            ("lower", band.lower),
            ("upper", band.upper),
        ):
            close(curve(at)[i], expected[name], 1e-8)


# -- curves without covariates --------------------------------------------------------


def test_kaplan_meier_and_nelson_aalen():
    veteran, stanford = table("veteran"), table("heart")
    y = Surv(veteran["time"], veteran["status"])
    weight = np.resize([1.0, 2.0, 0.5], len(y))
    late = Surv(stanford["stop"], stanford["event"], entry=stanford["start"])
    cases = {
        "plain": (y, "log-log"),
        "log": (y, "log"),
        "linear": (y, "plain"),
        "weights": (Surv(y.time, y.event, weights=weight), "log-log"),
        "entry": (late, "log-log"),
    }
    assert list(cases) == list(MORE["km"])
    for name, (target, transform) in cases.items():
        reference = {k: np.array(v, float) for k, v in MORE["km"][name].items()}
        at = reference["time"]
        found = kaplan_meier(target, transform=transform)
        close(found.table.loc["all"]["at risk"].loc[at], reference["risk"], 1e-9)
        close(numbers_at_risk(target, at), reference["risk"][None], 1e-9)
        close(found.estimate(at)[0], reference["surv"], 1e-10)
        inside = reference["surv"] > 0
        for ours, theirs in (
            (found.std_error, "error"),
            (found.lower, "lower"),
            (found.upper, "upper"),
        ):
            close(ours(at)[0][inside], reference[theirs][inside], 1e-9)
            assert np.isnan(ours(at)[0][~inside]).all()
        hazard = nelson_aalen(target)
        close(hazard.estimate(at)[0], reference["chaz"], 1e-10)
        close(hazard.std_error(at)[0], reference["chaz_error"], 1e-10)


def test_quantiles_with_limits_and_restricted_means():
    frame, reference = table("veteran"), MORE["summaries"]
    found = kaplan_meier(Surv(frame["time"], frame["status"]), frame["celltype"])
    assert list(found.estimate.index) == reference["groups"]
    probabilities = [0.25, 0.5, 0.75]
    for curve, name in (
        (found.estimate, "quantile"),
        (found.lower, "lower"),
        (found.upper, "upper"),
    ):
        close(survival_quantile(curve, probabilities), reference[name], 0)
    close(restricted_mean(found.estimate, 300.0), reference["rmean"], 1e-9)


def test_aalen_johansen():
    frame, reference = table("pbc"), MORE["aalen_johansen"]
    names = np.array(["censored", "transplant", "death"])
    y = Surv.from_status(frame["time"], names[frame["status"]], censored="censored")
    at = reference["time"]
    for cause in ("transplant", "death"):
        found = aalen_johansen(y, cause)
        close(found.estimate(at)[0], reference[cause], 1e-10)
        close(found.std_error(at)[0], reference[f"error_{cause}"], 1e-9)


def test_log_rank():
    frame = table("veteran")
    y = Surv(frame["time"], frame["status"])
    within = Surv(y.time, y.event, strata=frame["celltype"])
    for name, found in (
        ("plain", log_rank(y, frame["celltype"])),
        ("peto", log_rank(y, frame["celltype"], weighting="peto")),
        ("strata", log_rank(within, frame["trt"])),
    ):
        reference = MORE["log_rank"][name]
        assert found.statistic == pytest.approx(reference["chisq"], rel=1e-9)
        close(found.table["observed"], reference["observed"], 1e-9)
        close(found.table["expected"], reference["expected"], 1e-9)
