"""Comparison of fitted models, pooling over imputations, contrasts of coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from semistruct._core.validation import check_number, suggest
from semistruct.exceptions import DataError, ParameterError
from semistruct.inference import (
    FitSummary,
    coefficient_table,
    compare_fits,
    corrected_edf,
    pool_estimates,
)
from semistruct.inference import contrasts as linear_contrasts

__all__ = ["compare", "contrasts", "pool", "residual_df"]


def residual_df(model: Any) -> float | None:
    """Give n - edf where a dispersion is estimated, so that tests are t tests."""
    fit = model.exact_
    if not model._has_dispersion():
        return None
    return float(fit.n_effective - fit.edf.sum() - model.inference_.total_edf)


def compare(*models: Any, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Compare fitted models of the same rows by likelihood and AIC.

    Parameters
    ----------
    *models : estimators
        Fitted to the same rows, from small to large where they are nested: the
        likelihood-ratio test of a row is against the row before it.
    names : sequence of str, optional
        Names of the rows; the formulas by default.

    Returns
    -------
    DataFrame
        ``loglik``, ``edf``, ``edf corrected``, ``AIC conditional``, ``AIC`` (with the
        corrected effective degrees of freedom), ``BIC``, ``delta AIC``, and the
        likelihood-ratio test ``LR``, ``LR df``, ``P>chi2``.

    Raises
    ------
    DataError
        If the models were fitted to different numbers of rows or are of other kinds.

    References
    ----------
    Wood, Pya & Säfken (2016), JASA 111, 1548-1563, doi:10.1080/01621459.2016.1180986

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_mcycle()
    >>> line = ss.GAM("times").fit(X, y)
    >>> curve = ss.GAM("s(times, k=20)").fit(X, y)
    >>> ss.compare(line, curve)["delta AIC"].round(0).tolist()
    [181.0, 0.0]
    """
    if not models:
        raise DataError("compare: give at least one fitted model.")
    for model in models:
        check_is_fitted(model, "predictor_")
    kinds = {model._likelihood_kind() for model in models}
    if len(kinds) > 1:
        raise DataError(
            f"compare: the models have other targets ({', '.join(sorted(kinds))}); "
            "their likelihoods cannot be compared."
        )
    if len({_digest(model) for model in models}) > 1:
        raise DataError(
            "compare: the models were fitted to other targets or to other rows; their "
            "likelihoods cannot be compared. Fit them to the same y."
        )
    labels = [model._formula() for model in models] if names is None else list(names)
    if len(labels) != len(models):
        raise DataError(f"compare: {len(labels)} names for {len(models)} models.")
    rows = [
        FitSummary(
            label,
            float(model.exact_.loglik),
            _parameters(model) + float(model.exact_.edf.sum()),
            _parameters(model) + float(corrected_edf(model.exact_)),
            float(model.exact_.n_effective),
        )
        for label, model in zip(labels, models, strict=True)
    ]
    return compare_fits(rows)


def _digest(model: Any) -> str:
    """Name what the likelihood is of: of censored times more than their values."""
    return str(getattr(model, "likelihood_digest_", model.target_digest_))


def _parameters(model: Any) -> float:
    """Count what is estimated beside the coefficients: dispersion, shapes, last layers.

    The last layers are counted where ``inference="last_layer"`` fitted them.
    """
    family = getattr(model, "family_", None)
    own = 0 if family is None else int(family.has_dispersion) + family.n_shapes
    return own + model.inference_.total_edf


def pool(models: Sequence[Any], level: float = 0.95) -> pd.DataFrame:
    """Pool the coefficients of models that were fitted to imputed tables.

    Rubin's rules: the mean of the estimates, and within-imputation plus (1 + 1/m) times
    between-imputation covariance, with the degrees of freedom of Barnard & Rubin.

    Parameters
    ----------
    models : sequence of estimators
        Two or more, of the same terms, each fitted to one completed table.
    level : float in (0, 1), default=0.95
        Level of the intervals.

    Returns
    -------
    DataFrame
        A row for each structured coefficient: estimate, standard error, t, p, interval,
        degrees of freedom and fraction of missing information.

    References
    ----------
    Rubin (1987), doi:10.1002/9780470316696; Barnard & Rubin (1999), Biometrika 86,
    948-955, doi:10.1093/biomet/86.4.948

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_mcycle()
    >>> models = [ss.GAM("times").fit(X + d, y) for d in (0.0, 0.1)]
    >>> list(ss.pool(models).index)
    ['Intercept', 'times']
    """
    models = list(models)
    for model in models:
        check_is_fitted(model, "predictor_")
    if len(models) < 2:
        raise DataError(f"pool: two models or more are needed; got {len(models)}.")
    names = models[0]._coefficient_names()
    for model in models[1:]:
        if model._title() != models[0]._title():
            raise DataError(
                f"pool: the models are of other kinds, {models[0]._title()} and "
                f"{model._title()}; fit the same model to each table."
            )
        if not names.equals(model._coefficient_names()):
            raise DataError(
                "pool: the models have other coefficients; fit the same terms to each "
                "table, with the same levels of every factor."
            )
    pooled = pool_estimates(
        [m.exact_.coef for m in models],
        [m.exact_.cov for m in models],
        df_complete=residual_df(models[0]),
    )
    rows = [
        coefficient_table([name], [b], [[v]], df_residual=float(df), level=level)
        for name, b, v, df in zip(
            names, pooled.coef, np.diag(pooled.cov), pooled.df, strict=True
        )
    ]
    table = pd.concat(rows)
    table["df"] = pooled.df
    table["missing information"] = pooled.missing_information
    return table


def contrasts(
    model: Any,
    weights: Mapping[str, Mapping[str, float]],
    *,
    adjust: str = "none",
    level: float = 0.95,
) -> pd.DataFrame:
    """Estimate linear combinations of coefficients.

    Parameters
    ----------
    model : estimator
        Fitted.
    weights : dict of str to dict of str to float
        For each contrast the weights of coefficients, by name; those that are not named
        have the weight 0.
    adjust : {"none", "bonferroni", "holm", "simultaneous"}, default="none"
        Adjustment of p-values and intervals for several contrasts.
    level : float in (0, 1), default=0.95
        Level of the intervals.

    Returns
    -------
    DataFrame
        A row for each contrast: estimate, standard error, z or t, p, interval.

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + age").fit(X, y)
    >>> ss.analysis.contrasts(model, {"ten years": {"age": 10.0}})["coef"].round(2)
    ten years   -0.71
    Name: coef, dtype: float64
    """
    check_is_fitted(model, "predictor_")
    names = list(model._coefficient_names())
    given_dicts = isinstance(weights, Mapping) and all(
        isinstance(given, Mapping) for given in weights.values()
    )
    if not given_dicts:
        raise ParameterError(
            parameter="weights",
            owner="contrasts",
            allowed="a dict from labels to dicts from coefficients to numbers",
            given=weights,
        )
    matrix = np.zeros((len(weights), len(names)))
    for row, (label, given) in enumerate(weights.items()):
        for name, weight in given.items():
            check_number(weight, parameter="weights", owner="contrasts")
            if name not in names:
                raise ParameterError(
                    parameter="weights",
                    owner="contrasts",
                    allowed="weights of coefficients of the model",
                    given=name,
                    hint=f"In {label!r}.{suggest(str(name), map(str, names))}",
                )
            matrix[row, names.index(name)] = weight
    fit = model.exact_
    return linear_contrasts(
        matrix,
        fit.coef,
        fit.cov,
        names=list(weights),
        df_residual=residual_df(model),
        adjust=adjust,
        level=level,
    )
