"""Likelihood-ratio tests and information criteria of fitted models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from semistruct.exceptions import DataError


class FitSummary(NamedTuple):
    """What a comparison needs to know of a fitted model.

    Attributes
    ----------
    name : str
    loglik : float
        Log-likelihood at the estimate, without the penalty.
    edf : float
        Σ edf, and 1 more where a dispersion is estimated.
    edf_corrected : float
        :func:`corrected_edf`, and 1 more where a dispersion is estimated.
    n : float
        Rows, or the sum of their frequency weights; for Cox models the events.
    """

    name: str
    loglik: float
    edf: float
    edf_corrected: float
    n: float


class LikelihoodRatioTest(NamedTuple):
    """Likelihood-ratio statistic, its degrees of freedom and p-value."""

    statistic: float
    df: float
    p_value: float


def corrected_edf(fit: Any) -> float:
    """Effective degrees of freedom that count the choice of smoothing parameters.

    tr(Vc X'WX) / φ, with Vc the covariance corrected for the uncertainty of log λ; not
    more than tr(2F − FF), F = V X'WX, and without free smoothing parameters Σ edf.

    Parameters
    ----------
    fit : ExactFit
        ``cov``, ``cov_corrected``, ``information``, ``dispersion`` and ``edf`` are
        read.

    Returns
    -------
    float

    Notes
    -----
    Vc = Vb + J V_ρ J' here; the second correction of Wood, Pya and Säfken, for the
    change of the shape of Vb with λ, is not in it. It makes the number somewhat smaller
    than theirs where the bound does not bind.

    References
    ----------
    Wood, Pya and Säfken (2016), doi:10.1080/01621459.2016.1180986.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> from semistruct.inference import corrected_edf
    >>> fit = SimpleNamespace(
    ...     cov=np.array([[0.5]]), cov_corrected=np.array([[0.6]]),
    ...     information=np.array([[1.0]]), dispersion=1.0, edf=np.array([0.5]),
    ... )
    >>> corrected_edf(fit)
    0.6
    """
    plain = float(fit.edf.sum())
    if fit.cov_corrected is None:
        return plain
    influence = fit.cov @ fit.information / fit.dispersion
    most = 2.0 * plain - float(np.einsum("ij,ji->", influence, influence))
    trace = np.einsum("ij,ji->", fit.cov_corrected, fit.information) / fit.dispersion
    return min(float(trace), most)


def likelihood_ratio_test(
    loglik_small: float, loglik_large: float, df: float
) -> LikelihoodRatioTest:
    """Test of a model against a larger one that contains it, by 2(ℓ₁ − ℓ₀) ~ χ²_df.

    Exact in large samples for models without penalties. With penalised terms df is a
    difference of effective degrees of freedom, and the p-value an approximation that is
    too small near the edge; prefer the tests of the terms or AIC.

    Parameters
    ----------
    loglik_small, loglik_large : float
        Log-likelihoods of the two models on the same rows.
    df : float > 0
        Difference of their (effective) degrees of freedom.

    Returns
    -------
    LikelihoodRatioTest
        The p-value is NaN where df is not positive.

    Examples
    --------
    >>> from semistruct.inference import likelihood_ratio_test
    >>> round(likelihood_ratio_test(-102.0, -100.079, 1.0).p_value, 3)
    0.05
    """
    statistic = 2.0 * (loglik_large - loglik_small)
    p_value = float(stats.chi2.sf(max(statistic, 0.0), df)) if df > 0 else float("nan")
    return LikelihoodRatioTest(statistic, df, p_value)


def compare_fits(fits: Sequence[FitSummary]) -> pd.DataFrame:
    """Compare fitted models of the same rows.

    Parameters
    ----------
    fits : sequence of FitSummary
        From small to large where they are nested: the likelihood-ratio test of a row is
        against the row before it, and means something only if the models are nested.

    Returns
    -------
    DataFrame
        A row for each model: "loglik", "edf" and "edf corrected", "AIC conditional"
        (−2ℓ + 2 edf, which favours models with penalised terms), "AIC" (with the
        corrected edf) and "BIC" (−2ℓ + log(n) edf corrected), "delta AIC" to the best,
        and "LR", "LR df" (of the corrected edf) and "P>chi2".

    Raises
    ------
    DataError
        When the models do not have the same n.

    References
    ----------
    Wood, Pya and Säfken (2016), doi:10.1080/01621459.2016.1180986; Greven and Kneib
    (2010), doi:10.1093/biomet/asq042, for the bias of the conditional AIC.

    Examples
    --------
    >>> from semistruct.inference import FitSummary, compare_fits
    >>> table = compare_fits([
    ...     FitSummary("x", -102.0, 2, 2, 50), FitSummary("x + z", -98.0, 3, 3, 50),
    ... ])
    >>> table[["AIC", "delta AIC", "LR", "P>chi2"]].round(4)
             AIC  delta AIC   LR  P>chi2
    x      208.0        6.0  NaN     NaN
    x + z  202.0        0.0  8.0  0.0047
    """
    fits = list(fits)
    sizes = {fit.n for fit in fits}
    if len(sizes) > 1:
        raise DataError(
            "compare_fits: the models were fitted to different numbers of rows "
            f"({', '.join(f'{fit.name}: {fit.n:g}' for fit in fits)}). Their "
            "likelihoods cannot be compared; fit them to the same rows."
        )
    rows: list[tuple[float, ...]] = []
    for i, fit in enumerate(fits):
        test = LikelihoodRatioTest(float("nan"), float("nan"), float("nan"))
        if i:
            df = fit.edf_corrected - fits[i - 1].edf_corrected
            test = likelihood_ratio_test(fits[i - 1].loglik, fit.loglik, df)
        conditional = -2.0 * fit.loglik + 2.0 * fit.edf
        aic = -2.0 * fit.loglik + 2.0 * fit.edf_corrected
        bic = -2.0 * fit.loglik + np.log(fit.n) * fit.edf_corrected
        head = (fit.loglik, fit.edf, fit.edf_corrected, conditional, aic, bic)
        rows.append((*head, float("nan"), *test))
    columns = ["loglik", "edf", "edf corrected", "AIC conditional", "AIC", "BIC"]
    columns += ["delta AIC", "LR", "LR df", "P>chi2"]
    index = pd.Index([fit.name for fit in fits], dtype=object)
    table = pd.DataFrame(rows, columns=columns, index=index, dtype=float)
    table["delta AIC"] = table["AIC"] - table["AIC"].min()
    return table
