"""Additive models of a table alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from semistruct._core.terms import DeepTerm
from semistruct._core.validation import check_bool, check_number
from semistruct.exceptions import ParameterError
from semistruct.families import Family

from . import _input
from ._heads import GlmHead
from ._regressor import SemiStructuredRegressor
from ._state import register

__all__ = ["GAM"]


@register
class GAM(SemiStructuredRegressor):
    """Generalized additive model, with distributional regression; no deep terms.

    The exact path of `SemiStructuredRegressor` with the few parameters that it needs.

    Parameters
    ----------
    terms : str, list of Term, dict or None, default=None
        The predictor, such as ``"x + s(z, k=20) + te(u, v) + re(group)"``; a dict gives
        a formula to each of several distribution parameters.
    family : str or Family, default="gaussian"
        Distribution of ``y``, see `semistruct.families`.
    method : {"REML", "ML", "GCV"}, default="REML"
        How smoothing parameters are estimated.
    firth : bool, default=False
        Whether to add Jeffreys' prior to the likelihood: estimates stay finite under
        separation. For bernoulli, binomial (logit link) and poisson (log link) models
        without smooths.
    missing : {"error", "drop", "indicator"}, default="error"
        Rows that lack a structured column or y: an error; left out of fit; or filled
        (numbers by the mean) and marked by a column ``<name>_missing``, factors by a
        level of their own, in fit and prediction.
    max_bins : int, optional
        Round each covariate to about so many values and work with cross-products of
        cells, for many rows: no n × p matrix is made. None is exact; 1000 is much finer
        than a smooth of 20 coefficients can tell.

    Attributes
    ----------
    params_ : Series
        All coefficients by name.
    cov_params_ : DataFrame
        Their Bayesian covariance.
    exact_ : ExactFit
        Effective degrees of freedom, smoothing parameters, REML score and more.

    References
    ----------
    Wood (2017), Generalized Additive Models, doi:10.1201/9781315370279

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_mcycle()
    >>> model = ss.GAM({"loc": "s(times, k=20)", "scale": "s(times)"}).fit(X, y)
    >>> model.predict(X.head(1), interval=0.9).round(1)
       mean  lower  upper
    0  -0.5   -1.9    0.9
    """

    def __init__(
        self,
        terms: Any = None,
        *,
        family: str | Family = "gaussian",
        method: str = "REML",
        firth: bool = False,
        missing: str = "error",
        max_bins: int | None = None,
    ) -> None:
        super().__init__(terms, family=family, method=method, missing=missing)
        self.firth = firth
        self.max_bins = max_bins

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_bool(self.firth, parameter="firth", owner="GAM")
        check_number(
            self.max_bins,
            parameter="max_bins",
            owner="GAM",
            low=10,
            integer=True,
            none=True,
        )

    def _make_head(
        self,
        y: Any,
        weight: np.ndarray | None,
        var_weight: np.ndarray | None,
        formulas: list[str | None],
    ) -> GlmHead:
        for terms in _input.as_formulas(self.terms).values():
            for term in terms:
                if isinstance(term, DeepTerm):
                    raise ParameterError(
                        parameter="terms",
                        owner="GAM",
                        allowed="structured terms",
                        given=term.label,
                        hint="SemiStructuredRegressor takes deep terms.",
                    )
        head = super()._make_head(y, weight, var_weight, formulas)
        return replace(head, firth=self.firth)
