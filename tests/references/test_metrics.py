"""Measures against R's concordance, scikit-survival and pycox."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semistruct import StepFunction, Surv, metrics

HERE = Path(__file__).parent
FITS = json.loads((HERE / "cox.json").read_text())["cox"]
PEERS = json.loads((HERE / "metrics.json").read_text())
every_table = pytest.mark.parametrize("name", ["gbsg2", "whas500"])


def column(frame, name):
    """The column of a coefficient that R names, as ``log(bili)`` or ``horThyes``."""
    if name.startswith("log("):
        return np.log(frame[name[4:-1]].to_numpy(float))
    if name in frame:
        return frame[name].to_numpy(float)
    factor = next(c for c in frame if name.startswith(c) and frame[c].dtype == object)
    return (frame[factor] == name.removeprefix(factor)).to_numpy(float)


def target(index, frame):
    time, event = {
        "rossi": ("week", "arrest"),
        "gbsg2": ("time", "cens"),
        "ovarian": ("futime", "fustat"),
        "heart": ("stop", "event"),
        "bladder2": ("stop", "event"),
    }.get(FITS[index]["data"], ("time", "status"))
    event = frame[event]
    given = {"event": event == event.max() if event.max() > 1 else event}
    if FITS[index]["data"] in ("heart", "bladder2"):
        given["entry"] = frame["start"]
    if index == 3:
        given["strata"] = frame["celltype"]
    if index == 9:
        given |= {"strata": frame["enum"], "id": frame["id"]}
    if index == 10:
        given["weights"] = np.resize([1.0, 2.0], len(frame))
    return Surv(frame[time], **given)


names = [f"{i}-{fit['data']}" for i, fit in enumerate(FITS)]


@pytest.mark.parametrize("index", range(len(FITS)), ids=names)
def test_concordance_and_its_standard_error_are_those_of_r(index):
    fit = FITS[index]
    frame = pd.read_csv(HERE / "data" / f"{fit['data']}.csv")
    x = np.column_stack([column(frame, name) for name in fit["names"]])
    whole = np.isfinite(x).all(axis=1)  # coxph leaves incomplete rows out
    x, frame = x[whole], frame[whole]
    score = metrics.harrell(target(index, frame), x @ np.array(fit["estimate"]))
    assert len(x) == fit["n"]
    assert score.estimate == pytest.approx(fit["concordance"], abs=1e-10)
    assert score.se == pytest.approx(fit["concordance_se"], rel=1e-10)


@cache
def split(name):
    """Training and test data, risk and survival of the test rows."""
    table = PEERS[name]
    train = np.arange(len(table["time"])) % 3 != 0
    y = Surv(table["time"], table["event"])
    risk = np.array(table["risk"])[~train]
    curves = np.exp(-np.exp(risk)[:, None] * np.array(table["baseline"]))
    return y[train], y[~train], risk, StepFunction(table["times"], curves)


@every_table
def test_scikit_survival(name):
    train, test, risk, survival = split(name)
    expected, times = PEERS[name]["scikit-survival"], PEERS[name]["times"]
    convention = {"ipcw": "scikit-survival"}
    c = metrics.uno(train, test, risk, PEERS[name]["tau"], **convention)
    auc = metrics.cumulative_dynamic_auc(train, test, risk, times, **convention)
    brier = metrics.brier_score(train, test, survival, times, **convention)
    ibs = metrics.integrated_brier_score(train, test, survival, times, **convention)
    assert metrics.concordance_index(test, risk) == pytest.approx(
        expected["harrell"], abs=1e-10
    )
    assert c.estimate == pytest.approx(expected["uno"], abs=1e-10)
    np.testing.assert_allclose(auc.estimate, expected["auc"], atol=1e-10)
    assert auc.integrated.estimate == pytest.approx(expected["mean_auc"], abs=1e-10)
    np.testing.assert_allclose(brier.estimate, expected["brier"], atol=1e-10)
    assert ibs.estimate == pytest.approx(expected["ibs"], abs=1e-10)


@every_table
def test_pycox(name):
    """pycox's G is that of the test rows."""
    _, test, _, survival = split(name)
    expected, times = PEERS[name]["pycox"], PEERS[name]["times"]
    brier = metrics.brier_score(test, test, survival, times, ipcw="pycox")
    nbll = metrics.negative_binomial_log_likelihood(
        test, test, survival, times, ipcw="pycox"
    )
    np.testing.assert_allclose(brier.estimate, expected["brier"], atol=1e-10)
    np.testing.assert_allclose(nbll.estimate, expected["nbll"], atol=1e-10)
    c = metrics.antolini(test, survival, ties="zero")
    assert c.estimate == pytest.approx(expected["antolini"], abs=1e-10)


@every_table
def test_the_left_limit_differs_from_scikit_survival_at_ties_only(name):
    train, test, _, survival = split(name)
    times = PEERS[name]["times"]
    left = metrics.brier_score(train, test, survival, times).estimate
    right = PEERS[name]["scikit-survival"]["brier"]
    seen = test.time[test.event & (test.time <= times[-1])]
    shared = np.isin(seen, train.time[~train.event]).any()
    assert np.allclose(left, right, rtol=0, atol=1e-12) == (not shared)
    np.testing.assert_allclose(left, right, rtol=2e-2)
