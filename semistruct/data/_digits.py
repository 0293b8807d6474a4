"""Simulated survival and regression data on real scans, with known truth.

The scans are scikit-learn's 8×8 handwritten digits (a copy of the test set of Alpaydin
& Kaynak 1998, Optical Recognition of Handwritten Digits, 10.24432/C50P49); covariates
and outcomes are simulated. Letters: n rows.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.randomness import RandomState, generator
from semistruct._core.surv import Surv
from semistruct._core.validation import check_choice, check_number
from semistruct.data._tensor_array import TensorArray

__all__ = [
    "bmi_effect",
    "load_regression_digits",
    "load_survival_digits",
    "make_regression_digits",
    "make_survival_digits",
]

_SIGNALS = ("independent", "none", "encodes")
_STAGES = ("I", "II", "III")
_STAGE_SHARES = (0.45, 0.35, 0.20)
_AGE = (30.0, 90.0)  # years
_BMI = (17.0, 42.0)  # kg/m²
_SURVIVAL = {"age": 0.04, "C(stage)[T.II]": 0.5, "C(stage)[T.III]": 1.0}
_REGRESSION = {"age": 0.05, "C(stage)[T.II]": 0.6, "C(stage)[T.III]": 1.2}
_BMI_SCALE = {"survival": 0.4, "regression": 0.6}
_IMAGE_SCALE = {"survival": 0.8, "regression": 1.0}  # SD of the scan's effect
_INTERCEPT = 1.0  # of the regression
_WEIBULL = (1.5, 8.0)  # shape, and scale in years at linear predictor 0
_AGE_ORIGIN = 60.0  # the age at which the log hazard's age effect is 0


def bmi_effect(bmi: Any, scale: float = 1.0) -> np.ndarray:
    """Smooth true effect of the body mass index, lowest at 25.

    f(b) = scale · (√(1 + ((b − 25) / 3)²) − 1)

    Parameters
    ----------
    bmi : array-like of shape (n,)
        Body mass index in kg/m².
    scale : float, default=1.0
        Height; 0.4 in the survival data (log hazard), 0.6 in the regression data.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> from semistruct.data.datasets import bmi_effect
    >>> bmi_effect([25.0, 29.0]).round(3).tolist()
    [0.0, 0.667]
    """
    z = (np.asarray(bmi, dtype=np.float64) - 25.0) / 3.0
    return scale * (np.sqrt(1.0 + z**2) - 1.0)


def make_survival_digits(
    n: int = 1200,
    *,
    signal: str = "independent",
    censoring: float = 0.3,
    missing: float = 0.0,
    random_state: RandomState = 0,
    return_truth: bool = False,
) -> Any:
    """Simulate censored survival times on a table and real scans.

    The log hazard is η = 0.04 (age − 60) + 0.5 [II] + 1.0 [III] + f(bmi) + d(scan),
    with f = `bmi_effect` at scale 0.4; times are Weibull with proportional hazards,
    S(t) = exp(−(t / 8)^1.5 · exp(η)), t in years; censoring times are exponential and
    independent of all else.

    Parameters
    ----------
    n : int, default=1200
        Rows. Up to 1797 no scan stands twice.
    signal : {"independent", "none", "encodes"}, default="independent"
        What the scan says. ``"independent"``: d is 0.8 times the standardised value of
        the digit, which has nothing to do with the table. ``"none"``: d = 0.
        ``"encodes"``: d = 0, and the brightness of the scan is proportional to age
        (30 years: a quarter, 90 years: full).
    censoring : float in [0, 1), default=0.3
        Expected share of censored rows.
    missing : float in [0, 1), default=0.0
        Share of scans that are null, completely at random; d is in η all the same.
    random_state : int, Generator, RandomState or None, default=0
        Where the randomness comes from.
    return_truth : bool, default=False
        Whether to return the truth too.

    Returns
    -------
    X : DataFrame of n rows
        ``age`` (years, 30 to 90), ``stage`` (categorical I, II, III), ``bmi`` (kg/m²,
        17 to 42), ``scan`` (`TensorArray` of uint8, 8×8, 0 to 255).
    y : Surv
    truth : dict, only if ``return_truth``
        ``coefficients`` (of age and of the stages), ``linear_predictor`` (n,),
        ``contributions`` (DataFrame with the columns age, C(stage), s(bmi),
        image(scan), which add up to the linear predictor; smooth terms are known up to
        a constant), ``smooth`` (the function of bmi), ``digit`` (n,), ``signal``,
        ``c_index`` (Harrell's, of the linear predictor on this sample: what a perfect
        model reaches), ``weibull`` (shape and scale), ``censored`` (share).

    Examples
    --------
    >>> from semistruct.data.datasets import make_survival_digits
    >>> X, y, truth = make_survival_digits(200, return_truth=True)
    >>> X.columns.tolist(), len(y)
    (['age', 'stage', 'bmi', 'scan'], 200)
    >>> truth["coefficients"]["age"]
    0.04
    """
    owner = "make_survival_digits"
    check_number(
        censoring, parameter="censoring", owner=owner, low=0, high=1, closed="left"
    )
    rng, X, digit = _covariates(n, signal, missing, random_state, owner)
    parts = _contributions(X, digit, signal, "survival", _SURVIVAL)
    eta = parts.sum(axis=1).to_numpy()
    shape, scale = _WEIBULL
    failure = scale * (rng.exponential(size=n) / np.exp(eta)) ** (1.0 / shape)
    limit = _censoring_scale(censoring, signal) * rng.exponential(size=n)
    event = failure <= limit
    y = Surv(np.minimum(failure, limit), event)
    if not return_truth:
        return X, y
    truth = _truth(parts, digit, signal, "survival", _SURVIVAL)
    truth["c_index"] = _c_index(y.time, y.event, eta)
    truth["weibull"] = {"shape": shape, "scale": scale}
    truth["censored"] = float(1.0 - event.mean())
    return X, y, truth


def make_regression_digits(
    n: int = 1200,
    *,
    signal: str = "independent",
    noise: float = 1.0,
    missing: float = 0.0,
    random_state: RandomState = 0,
    return_truth: bool = False,
) -> Any:
    """Simulate a continuous outcome on a table and real scans.

    y = 1 + 0.05 age + 0.6 [II] + 1.2 [III] + f(bmi) + d(scan) + ε, with
    f = `bmi_effect` at scale 0.6 and ε normal with standard deviation ``noise``.

    Parameters
    ----------
    n : int, default=1200
        Rows. Up to 1797 no scan stands twice.
    signal : {"independent", "none", "encodes"}, default="independent"
        What the scan says, as in `make_survival_digits`; d has the standard deviation 1
        if it is ``"independent"``.
    noise : float > 0, default=1.0
        Standard deviation of ε.
    missing : float in [0, 1), default=0.0
        Share of scans that are null, completely at random.
    random_state : int, Generator, RandomState or None, default=0
        Where the randomness comes from.
    return_truth : bool, default=False
        Whether to return the truth too.

    Returns
    -------
    X : DataFrame of n rows
        As in `make_survival_digits`.
    y : Series of float of length n
    truth : dict, only if ``return_truth``
        As in `make_survival_digits`, with ``intercept`` (part of the linear predictor,
        not of the contributions), ``noise`` and ``r2`` (share of the sample's variance
        that the true linear predictor explains) in the place of ``c_index``,
        ``weibull`` and ``censored``.

    Examples
    --------
    >>> from semistruct.data.datasets import make_regression_digits
    >>> X, y, truth = make_regression_digits(100, noise=0.5, return_truth=True)
    >>> X["scan"].dtype, len(y)
    (tensor[uint8, (8, 8)], 100)
    """
    owner = "make_regression_digits"
    check_number(noise, parameter="noise", owner=owner, low=0, closed="neither")
    rng, X, digit = _covariates(n, signal, missing, random_state, owner)
    parts = _contributions(X, digit, signal, "regression", _REGRESSION)
    eta = _INTERCEPT + parts.sum(axis=1).to_numpy()
    y = pd.Series(eta + noise * rng.normal(size=n), name="y")
    if not return_truth:
        return X, y
    truth = _truth(parts, digit, signal, "regression", _REGRESSION)
    truth["linear_predictor"] = eta
    truth["intercept"] = _INTERCEPT
    truth["noise"] = float(noise)
    residual = y.to_numpy() - eta
    truth["r2"] = float(1.0 - (residual**2).sum() / ((y - y.mean()) ** 2).sum())
    return X, y, truth


def load_survival_digits() -> tuple[pd.DataFrame, Surv]:
    """Give one fixed sample of `make_survival_digits`: its defaults.

    Returns
    -------
    X : DataFrame of 1200 rows
    y : Surv

    Examples
    --------
    >>> from semistruct.data.datasets import load_survival_digits
    >>> X, y = load_survival_digits()
    >>> X.shape
    (1200, 4)
    """
    X, y = make_survival_digits()
    return X, y


def load_regression_digits() -> tuple[pd.DataFrame, pd.Series]:
    """Give one fixed sample of `make_regression_digits`: its defaults.

    Returns
    -------
    X : DataFrame of 1200 rows
    y : Series

    Examples
    --------
    >>> from semistruct.data.datasets import load_regression_digits
    >>> X, y = load_regression_digits()
    >>> X.shape, y.shape
    ((1200, 4), (1200,))
    """
    X, y = make_regression_digits()
    return X, y


def _table(n: int, rng: np.random.Generator) -> pd.DataFrame:
    stage = rng.choice(_STAGES, size=n, p=_STAGE_SHARES)
    return pd.DataFrame(
        {
            "age": _AGE[0] + (_AGE[1] - _AGE[0]) * rng.beta(4.0, 3.5, size=n),
            "stage": pd.Categorical(stage, categories=list(_STAGES)),
            "bmi": _BMI[0] + (_BMI[1] - _BMI[0]) * rng.beta(2.5, 4.0, size=n),
        }
    )


def _covariates(
    n: int, signal: str, missing: float, random_state: RandomState, owner: str
) -> tuple[np.random.Generator, pd.DataFrame, np.ndarray]:
    check_number(n, parameter="n", owner=owner, low=1, integer=True)
    check_choice(signal, _SIGNALS, parameter="signal", owner=owner)
    check_number(
        missing, parameter="missing", owner=owner, low=0, high=1, closed="left"
    )
    rng = generator(random_state)
    X = _table(n, rng)
    from sklearn.datasets import load_digits  # imported only here

    digits = load_digits()
    rows = rng.permutation(len(digits.target))
    if n > len(rows):
        rows = np.concatenate([rows, rng.integers(0, len(rows), size=n - len(rows))])
    rows = rows[:n]
    brightness = np.full(n, 255.0 / 16.0)  # the scans hold 0 to 16
    if signal == "encodes":
        share = (X["age"].to_numpy() - _AGE[0]) / (_AGE[1] - _AGE[0])
        brightness *= 0.25 + 0.75 * share
    block = np.rint(digits.images[rows] * brightness[:, None, None]).astype(np.uint8)
    X["scan"] = TensorArray(block, rng.random(n) >= missing)
    return rng, X, digits.target[rows]


def _contributions(
    X: pd.DataFrame, digit: np.ndarray, signal: str, kind: str, beta: dict[str, float]
) -> pd.DataFrame:
    origin = _AGE_ORIGIN if kind == "survival" else 0.0
    stages = {"I": 0.0, "II": beta["C(stage)[T.II]"], "III": beta["C(stage)[T.III]"]}
    scale = _IMAGE_SCALE[kind] if signal == "independent" else 0.0
    # uniform on 0 to 9: mean 4.5, variance 8.25
    return pd.DataFrame(
        {
            "age": beta["age"] * (X["age"] - origin),
            "C(stage)": X["stage"].astype(str).map(stages),
            "s(bmi)": bmi_effect(X["bmi"], _BMI_SCALE[kind]),
            "image(scan)": scale * (digit - 4.5) / np.sqrt(8.25),
        }
    )


def _truth(
    parts: pd.DataFrame,
    digit: np.ndarray,
    signal: str,
    kind: str,
    beta: dict[str, float],
) -> dict[str, Any]:
    return {
        "coefficients": dict(beta),
        "linear_predictor": parts.sum(axis=1).to_numpy(),
        "contributions": parts,
        "smooth": partial(bmi_effect, scale=_BMI_SCALE[kind]),
        "digit": digit,
        "signal": signal,
    }


def _censoring_scale(censoring: float, signal: str) -> float:
    """Mean of the exponential censoring times that gives the expected share.

    It comes from a large sample with a seed of its own, so that rows of a data set stay
    independent of one another.
    """
    if censoring == 0:
        return np.inf
    m = 50_000
    rng = np.random.default_rng(20_240_229)
    digit = rng.integers(0, 10, size=m)
    eta = _contributions(_table(m, rng), digit, signal, "survival", _SURVIVAL).sum(
        axis=1
    )
    shape, scale = _WEIBULL
    failure = scale * (rng.exponential(size=m) / np.exp(eta.to_numpy())) ** (1 / shape)
    # censored when c · E < T, so c is a quantile of T / E
    return float(np.quantile(failure / rng.exponential(size=m), 1.0 - censoring))


def _c_index(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> float:
    """Harrell's C for times without ties; pairs of an event and a later time."""
    order = np.argsort(time, kind="stable")
    event, risk = event[order], risk[order]
    pairs = concordant = 0.0
    for i in np.flatnonzero(event):
        later = risk[i + 1 :]
        pairs += len(later)
        concordant += (risk[i] > later).sum() + 0.5 * (risk[i] == later).sum()
    return float(concordant / pairs) if pairs else float("nan")
