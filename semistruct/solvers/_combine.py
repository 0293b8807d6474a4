"""Several fits as one: models of the causes of competing risks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from semistruct.exceptions import DataError
from semistruct.solvers._result import ExactFit

FloatArray = NDArray[np.float64]


def combine_fits(
    fits: Sequence[ExactFit], names: Sequence[object] | None = None
) -> ExactFit:
    """Put fits of separate likelihoods together as one with all their predictors.

    Cause-specific models share no coefficient and their log-likelihoods add up, so the
    coefficients of different causes are uncorrelated (Kalbfleisch and Prentice 2002,
    doi:10.1002/9781118032985, section 8.2).

    Parameters
    ----------
    fits : sequence of ExactFit
        Of the same n rows and the same dispersion, chosen by the same criterion.
    names : sequence, optional
        Names of the fits for messages; their numbers when not given.

    Returns
    -------
    ExactFit
        K is the sum of their numbers of predictors. Covariances and the information
        are block-diagonal; ``cov_corrected`` takes ``cov`` where a fit has none, and is
        None if all lack it. ``loglik``, ``score`` and ``nullity`` are sums; ``active``
        is empty.

    Raises
    ------
    DataError
        When there are no fits, they are not of the same rows, dispersion and criterion,
        or one has shapes.

    Examples
    --------
    >>> from semistruct.solvers import combine_fits, fit_cox
    >>> x, time = [[0.0], [1.0], [0.0], [1.0]], [1.0, 2.0, 3.0, 4.0]
    >>> fits = [fit_cox(x, time, e) for e in ([1, 1, 0, 0], [0, 1, 1, 0])]
    >>> both = combine_fits(fits, ["relapse", "death"])
    >>> both.slices, both.cov.shape
    ((slice(0, 1, None), slice(1, 2, None)), (2, 2))
    """
    if not fits:
        raise DataError("combine_fits: no fits are given.")
    labels = [str(k) for k in (range(len(fits)) if names is None else names)]
    if len(labels) != len(fits):
        raise DataError(
            f"combine_fits: {len(labels)} names are given for {len(fits)} fits."
        )
    first = fits[0]
    for label, fit in zip(labels, fits, strict=True):
        for what, own, others in (
            ("rows", len(fit.linear_predictor), len(first.linear_predictor)),
            ("a dispersion of", fit.dispersion, first.dispersion),
            ("the criterion", fit.method, first.method),
            ("shapes", fit.shape_names, ()),
        ):
            if own != others:
                raise DataError(
                    f"combine_fits: the fit of {label} has {what} {own}, but there "
                    f"must be {others}."
                )
    starts = np.cumsum([0] + [len(fit.coef) for fit in fits])
    slices = tuple(
        slice(s.start + at, s.stop + at)
        for at, fit in zip(starts[:-1].tolist(), fits, strict=True)
        for s in fit.slices
    )
    corrected = None
    if any(fit.cov_corrected is not None for fit in fits):
        corrected = _blocks(
            [f.cov if f.cov_corrected is None else f.cov_corrected for f in fits]
        )
    wrong = [
        f"{label}: {_shifted(fit, int(at))}"
        for label, fit, at in zip(labels, fits, starts[:-1], strict=True)
        if not fit.converged
    ]
    return ExactFit(
        coef=np.concatenate([fit.coef for fit in fits]),
        slices=slices,
        cov=_blocks([fit.cov for fit in fits]),
        cov_frequentist=_blocks([fit.cov_frequentist for fit in fits]),
        cov_corrected=corrected,
        information=_blocks([fit.information for fit in fits]),
        edf=np.concatenate([fit.edf for fit in fits]),
        dispersion=first.dispersion,
        sp=np.concatenate([fit.sp for fit in fits]),
        score=float(sum(fit.score for fit in fits)),
        loglik=float(sum(fit.loglik for fit in fits)),
        linear_predictor=np.hstack([fit.linear_predictor for fit in fits]),
        working_weight=np.hstack([fit.working_weight for fit in fits]),
        n_iter=sum(fit.n_iter for fit in fits),
        converged=not wrong,
        gradient_norm=max(fit.gradient_norm for fit in fits),
        message="; ".join(wrong) or first.message,
        nullity=sum(fit.nullity for fit in fits),
        n_effective=max(fit.n_effective for fit in fits),
        diverging=tuple(
            int(at) + j
            for at, fit in zip(starts[:-1], fits, strict=True)
            for j in fit.diverging
        ),
        method=first.method,
    )


def _shifted(fit: ExactFit, start: int) -> str:
    """Give the message of a fit whose coefficients are counted from ``start`` on."""
    own = list(fit.diverging)
    return fit.message.replace(str(own), str([start + j for j in own]))


def _blocks(parts: Sequence[FloatArray]) -> FloatArray:
    blocks: FloatArray = np.asarray(linalg.block_diag(*parts))
    return blocks
