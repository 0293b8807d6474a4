"""Attribution of a deep term to its inputs.

Letters: n rows, T linear predictors of a term.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from semistruct._core.randomness import RandomState, spawn
from semistruct._core.validation import check_choice, check_number
from semistruct.attribution import _methods
from semistruct.attribution._module import Contribution, Outcome, curve_of, evaluating
from semistruct.attribution._predictor import (
    Leaf,
    checked,
    choose_parameter,
    choose_term,
)
from semistruct.attribution._result import Attribution, describe
from semistruct.attribution._rows import computed_columns, prepare
from semistruct.exceptions import ParameterError

__all__ = ["explain"]

METHODS = ("integrated_gradients", "grad_cam", "occlusion", "gradient_shap")
OUTPUTS = ("contribution", "log_cumulative_hazard", "survival", "incidence")
_OWNER = "attribution.explain"
_TOLERANCE = 0.02  # what integrated gradients may lack of their absolute sum


def explain(
    model: Any,
    X: Any,
    term: str | None = None,
    method: str = "integrated_gradients",
    *,
    parameter: Any = None,
    output: str = "contribution",
    time: float | None = None,
    strata: Any = None,
    baseline: pd.DataFrame | None = None,
    n_steps: int = 64,
    window: int | None = None,
    layer: str | None = None,
    batch_size: int = 256,
    random_state: RandomState = 0,
) -> Attribution:
    """Say which pixels or columns of a deep term a prediction comes from.

    What is explained is the contribution as the model predicts it, in its own units:
    by·mask·d(u) without its projection on the structured columns. The structured
    columns of a row are held, so its projection is a constant, which stands in
    ``baseline`` of the result: an image that shows the age still says so here.

    Parameters
    ----------
    model : estimator
        Fitted; a regressor, a classifier or a survival model with a deep term.
    X : DataFrame of n rows
        Rows to explain.
    term : str, optional
        Label or name of the deep term, or of a term within ``fuse(…)``, the others of
        which are held; may be left out where there is one.
    method : {"integrated_gradients", "grad_cam", "occlusion", "gradient_shap"}
        See the notes.
    parameter : label, optional
        Linear predictor: a distribution parameter, a class, a cause. May be left out
        where the term adds to one. Of curves, the incidence has the cause; the others
        have none, since all predictors move them.
    output : {"contribution", "log_cumulative_hazard", "survival", "incidence"}
        What is explained: the contribution to the linear predictor; for survival models
        also log Λ(t | x), S(t | x) or, with competing risks, the cumulative incidence
        of a cause at ``time``, the other terms of the row being held.
    time : float, optional
        t > 0 of a curve.
    strata : array-like of shape (n,), optional
        Stratum of each row, for a curve of a model with strata.
    baseline : DataFrame, optional
        Rows with the columns of the term, such as those of fit: inputs are compared
        with their mean (gradient SHAP: with each of them). By default with what is 0 in
        standardised units: the mean of each column, the mean grey or colour of an
        image. Categories are compared with an unknown level, the words of a text with
        padding (occlusion) or with an embedding of zeros.
    n_steps : int, default=64
        Nodes of integrated gradients (more where these are not enough), draws of
        gradient SHAP; at least 2.
    window : int, optional
        Side of the squares of an image that occlusion takes away, in pixels; by default
        an eighth of the longer side. Columns are taken away one by one.
    layer : str, optional
        Layer of the encoder whose maps Grad-CAM weighs, as ``named_modules`` calls it;
        by default the last convolution.
    batch_size : int, default=256
        Inputs in one pass through the network, at least one row with all its nodes:
        what bounds the memory.
    random_state : int, Generator, RandomState or None, default=0
        Of gradient SHAP.

    Returns
    -------
    Attribution

    Raises
    ------
    DependencyError
        Without captum.
    ParameterError, ColumnError, DataError
        Naming what cannot be used, and what to do.

    Warns
    -----
    UserWarning
        If integrated gradients lack more than 2% of the sum of their absolute values.

    Notes
    -----
    ``"integrated_gradients"`` is complete, Σ values = d(x) − d(baseline), up to its
    quadrature, which is refined where it lacks something; ``delta`` of the result tells
    what is left. ``"gradient_shap"`` is its mean over baselines, complete on average.
    ``"occlusion"`` is what is lost where the input is put to the baseline's; it needs
    no gradients. ``"grad_cam"`` shows coarse regions of an image, in no units. The
    network runs where it is, and is left as it was.

    Sundararajan et al. (2017), arXiv:1703.01365; Erion et al. (2021),
    doi:10.1038/s42256-021-00343-w; Zeiler & Fergus (2014),
    doi:10.1007/978-3-319-10590-1_53; Selvaraju et al. (2020),
    doi:10.1007/s11263-019-01228-7.

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.make_regression_digits(80, random_state=0)
    >>> model = ss.SemiStructuredRegressor(
    ...     "age + image(scan)", training=ss.Training(max_epochs=2), random_state=0
    ... ).fit(X, y)
    >>> found = ss.attribution.explain(model, X[:4])
    >>> found.maps().shape
    (4, 8, 8)
    >>> bool(abs(found.delta).max() < 1e-2)
    True
    """
    _check_options(method, output, time, n_steps, batch_size, window)
    computed = computed_columns(model, baseline)
    model, frame = checked(model, X, _OWNER)
    leaf = choose_term(model, term, _OWNER)
    contribution = Contribution.of(model, leaf, frame)
    outcome, explained = _outcome(
        model, contribution, leaf, frame, parameter, output, time, strata
    )
    gradients = method not in ("occlusion", "grad_cam")
    with evaluating(contribution.encoder):
        rows = prepare(
            outcome, leaf, frame, computed, gradients=gradients, owner=_OWNER
        )
        explainee, inputs = rows.outcome, rows.inputs
        start = _mean(rows.background)
        ends = start
        if gradients:
            _check_gradient(explainee, inputs, method)
        if method == "integrated_gradients":
            values = _methods.integrated_gradients(
                explainee, inputs, start, m=n_steps, batch_size=batch_size
            )
        elif method == "gradient_shap":
            ends = rows.background
            (seed,) = spawn(random_state, 1)
            values = _methods.gradient_shap(
                explainee, inputs, ends, m=n_steps, batch_size=batch_size, seed=seed
            )
        elif method == "occlusion":
            shape = tuple(inputs.shape[1:])
            side = _methods.default_side(shape) if window is None else window
            groups = _methods.patches(shape, side).to(inputs.device)
            values = _methods.occlusion(
                explainee, inputs, start, groups, batch_size=batch_size
            )
        else:
            maps = _layer(contribution.encoder, layer, inputs, leaf.label)
            _check_gradient(explainee, inputs, method)
            values = _methods.grad_cam(explainee, inputs, maps, batch_size=batch_size)
        at_input, at_start = _ends(explainee, inputs, ends, batch_size)
    if rows.embedded:
        values = values.sum(dim=-1)
    present = rows.present.to(values.device)
    values = values * present.reshape(-1, *(1,) * (values.ndim - 1))
    result = Attribution(
        values.double().cpu().numpy(),
        rows.block.cpu().numpy(),
        at_input,
        at_start,
        frame.index,
        rows.features,
        leaf.label,
        method,
        explained,
        rows.words,
    )
    if method == "integrated_gradients":
        _warn_of_delta(result, n_steps)
    return result


def _outcome(
    model: Any,
    contribution: Contribution,
    leaf: Leaf,
    frame: pd.DataFrame,
    parameter: Any,
    output: str,
    time: Any,
    strata: Any,
) -> tuple[Outcome, str]:
    """Make what is explained, and its name."""
    if output == "contribution":
        every = model._predictor_names()
        names = [every[k] for k in model.predictor_.parts[leaf.key].targets]
        column = choose_parameter(names, parameter, _OWNER)
        explained = describe(model, names[column], len(every) > 1)
        return Outcome(contribution, column), explained
    if not hasattr(model, "curves_"):
        raise ParameterError(
            parameter="output",
            owner=_OWNER,
            allowed=f"'contribution' for a {type(model).__name__}",
            given=output,
        )
    curve = curve_of(
        model,
        leaf.key,
        frame,
        strata,
        float(time),
        kind=output,
        cause=_cause(model, output, parameter),
        owner=_OWNER,
    )
    symbol = {"log_cumulative_hazard": "log Λ", "survival": "S", "incidence": "F"}
    of = "" if parameter is None else f" of {parameter}"
    return Outcome(contribution, curve=curve), f"{symbol[output]}(t = {time:g}){of}"


def _cause(model: Any, output: str, parameter: Any) -> Any:
    """Check the cause of a curve, which the incidence has and others have not."""
    causes = list(model.curves_.causes)
    allowed = f"one of the causes {causes}"
    if output != "incidence":
        causes, allowed = [None], f"None for output={output!r}, which all causes move"
    elif not causes:
        allowed = "a cause: the model has one kind of event; explain its 'survival'"
    if parameter not in causes:
        raise ParameterError(
            parameter="parameter", owner=_OWNER, allowed=allowed, given=parameter
        )
    return parameter


def _check_options(
    method: str,
    output: str,
    time: float | None,
    n_steps: int,
    batch_size: int,
    window: int | None,
) -> None:
    check_choice(method, METHODS, parameter="method", owner=_OWNER)
    check_choice(output, OUTPUTS, parameter="output", owner=_OWNER)
    whole: dict[str, Any] = {"owner": _OWNER, "integer": True}
    check_number(n_steps, parameter="n_steps", low=2, **whole)
    check_number(batch_size, parameter="batch_size", low=1, **whole)
    check_number(window, parameter="window", low=1, none=True, **whole)
    if output == "contribution":
        if time is not None:
            raise ParameterError(
                parameter="time",
                owner=_OWNER,
                allowed="None for a contribution, which has no time",
                given=time,
                hint="Give output='log_cumulative_hazard' or output='survival' too.",
            )
        return
    check_number(time, parameter="time", owner=_OWNER, low=0, closed="right")


def _mean(background: Tensor) -> Tensor:
    """Give the mean (1, …) of rows; of ids there is one row."""
    if not background.is_floating_point():
        return background[:1]
    return background.mean(dim=0, keepdim=True)


def _check_gradient(outcome: nn.Module, inputs: Tensor, method: str) -> None:
    """Refuse an encoder through which no gradient comes."""
    if inputs.is_floating_point():
        own = inputs[:1].clone().requires_grad_()
        value = outcome(own, torch.zeros(1, dtype=torch.long, device=inputs.device))
        if value.requires_grad:
            (slope,) = torch.autograd.grad(value.sum(), own, allow_unused=True)
            if slope is not None:
                return
    raise ParameterError(
        parameter="method",
        owner=_OWNER,
        allowed="'occlusion' for this encoder: no gradient reaches its input",
        given=method,
    )


def _layer(
    encoder: nn.Module, layer: str | None, inputs: Tensor, label: str
) -> nn.Module:
    """Find the layer of Grad-CAM."""
    if inputs.ndim != 4:
        raise ParameterError(
            parameter="method",
            owner=_OWNER,
            allowed=f"another for {label}: Grad-CAM needs one image in each row",
            given="grad_cam",
        )
    known = dict(encoder.named_modules())
    found = _methods.last_convolution(encoder) if layer is None else known.get(layer)
    if found is None:
        raise ParameterError(
            parameter="layer",
            owner=_OWNER,
            allowed="a layer of the encoder: "
            + ", ".join(repr(name) for name in list(known)[1:21]),
            given=layer,
        )
    return found


def _ends(
    outcome: nn.Module, inputs: Tensor, background: Tensor, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give the outcome (n,) at the inputs and its mean over the baselines."""
    at_input, at_start = [], []
    m = len(background)
    with torch.no_grad():
        for rows in torch.arange(len(inputs), device=inputs.device).split(
            max(1, batch_size // m)
        ):
            at_input.append(outcome(inputs[rows], rows))
            every = background.repeat(len(rows), *(1,) * (inputs.ndim - 1))
            values = outcome(every, rows.repeat_interleave(m))
            at_start.append(values.reshape(-1, m).mean(dim=1))
    return torch.cat(at_input).cpu().numpy(), torch.cat(at_start).cpu().numpy()


def _warn_of_delta(result: Attribution, n_steps: int) -> None:
    size = np.abs(result.values).reshape(len(result.values), -1).sum(axis=1)
    lacking = np.abs(result.delta) - _TOLERANCE * size - 1e-5
    if lacking.max() > 0:
        row = int(lacking.argmax())
        warnings.warn(
            f"{_OWNER}: the integrated gradients of {result.term} in row "
            f"{result.index[row]} lack {abs(result.delta[row]):.2g} of "
            f"{result.outcome[row] - result.baseline[row]:.2g}; take more steps than "
            f"n_steps={n_steps}.",
            UserWarning,
            stacklevel=3,
        )
