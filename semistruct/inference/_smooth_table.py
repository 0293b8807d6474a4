"""The table of smooth and random terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from semistruct.inference._random_effect import random_effect_test
from semistruct.inference._smooth import smooth_test


def smooth_table(
    fit: Any,
    blocks: Sequence[Sequence[Any]],
    df_residual: float | None = None,
    predictors: Sequence[str] = (),
) -> pd.DataFrame:
    """Effective degrees of freedom and tests of the smooth and random terms.

    Parameters
    ----------
    fit : ExactFit
        Of K linear predictors.
    blocks : sequence of K sequences of Block
        Blocks of each predictor's design; intercept and parametric ones are passed
        over.
    df_residual : float, optional
        n − Σ edf where the dispersion is estimated: the tests are F-like.
    predictors : sequence of str, default=()
        Names of the linear predictors, put before the label when there are several.

    Returns
    -------
    DataFrame
        A row for each term: "edf", "ref df" (the rank r of the test), "F" or "chi2",
        and "p-value". Random effects have the test of :func:`random_effect_test`, the
        others that of :func:`smooth_test`.

    References
    ----------
    Wood (2013), Biometrika 100, 221-228, doi:10.1093/biomet/ass048; and 1005-1010,
    doi:10.1093/biomet/ast038.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> from semistruct.inference import smooth_table
    >>> fit = SimpleNamespace(
    ...     coef=np.array([1.0]), cov=np.array([[0.5]]), information=np.array([[1.0]]),
    ...     edf=np.array([0.5]), dispersion=1.0, slices=(slice(0, 1),),
    ... )
    >>> block = SimpleNamespace(label="re(g)", kind="random", start=0, stop=1)
    >>> smooth_table(fit, [[block]]).round(4)
           edf  ref df  chi2  p-value
    re(g)  0.5     1.0   2.0   0.0455
    """
    influence = fit.cov @ fit.information / fit.dispersion  # F
    ranks = 2.0 * fit.edf - np.einsum("ij,ji->i", influence, influence)
    random = [
        slice(part.start + block.start, part.start + block.stop)
        for part, own in zip(fit.slices, blocks, strict=True)
        for block in own
        if block.kind == "random"
    ]
    many = len(fit.slices) > 1 and len(predictors) == len(fit.slices)
    rows, labels = [], []
    for k, part in enumerate(fit.slices):
        for block in blocks[k]:
            if block.kind in ("intercept", "parametric"):
                continue
            span = slice(part.start + block.start, part.start + block.stop)
            labels.append(f"{predictors[k]}: {block.label}" if many else block.label)
            if block.kind == "random":
                test = random_effect_test(
                    fit.coef,
                    fit.cov,
                    fit.information,
                    span,
                    [other for other in random if other != span],
                    fit.dispersion,
                    df_residual,
                )
                reference = test.rank
            else:
                reference = float(ranks[span].sum())
                test = smooth_test(
                    fit.coef[span],
                    fit.cov[span, span],
                    fit.information[span, span],
                    reference,
                    df_residual,
                )
            edf = float(fit.edf[span].sum())
            rows.append((edf, reference, test.statistic, test.p_value))
    statistic = "chi2" if df_residual is None else "F"
    columns = ["edf", "ref df", statistic, "p-value"]
    return pd.DataFrame(rows, columns=columns, index=pd.Index(labels, dtype=object))
