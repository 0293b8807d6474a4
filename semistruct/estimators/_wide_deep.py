"""Wide & Deep: a linear model with crossed columns beside a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.randomness import RandomState
from semistruct._core.terms import DeepTerm, Linear, RandomEffect, Tabular, Term
from semistruct._core.validation import check_bool, check_number
from semistruct.design import quote_column, structured_columns
from semistruct.engine import Training
from semistruct.exceptions import ParameterError
from semistruct.families import Family

from . import _input
from ._base import SemiStructuredEstimator
from ._classifier import SemiStructuredClassifier
from ._crosses import Cross, cross_name
from ._early import Split
from ._features import Features
from ._regressor import SemiStructuredRegressor
from ._state import register

__all__ = ["WideDeepClassifier", "WideDeepRegressor"]


class _WideDeep(SemiStructuredEstimator):
    """What the Wide & Deep estimators share; abstract."""

    wide: Any
    crossed: Sequence[Sequence[str]]
    deep: Any
    ridge: bool
    max_levels: int

    @property
    def terms(self) -> tuple[Term, ...]:
        """The wide terms, the crossed columns and the deep terms."""
        wide = _input.as_terms(self.wide)
        given = self.crossed if isinstance(self.crossed, list | tuple) else []
        pairs = [tuple(v) for v in given if isinstance(v, list | tuple)]
        if self.ridge:
            crosses: list[Term] = [RandomEffect(cross_name(pair)) for pair in pairs]
        else:
            levels = [[f"C({quote_column(c)})" for c in pair] for pair in pairs]
            crosses = [Linear(":".join(factors)) for factors in levels]
        return (*wide, *crosses, *self._deep_terms(wide, pairs))

    def _deep_terms(
        self, wide: Sequence[Term], pairs: Sequence[Sequence[str]]
    ) -> tuple[Term, ...]:
        if self.deep is not None:
            return _input.as_terms(self.deep)
        own = [t for t in wide if not isinstance(t, DeepTerm)]
        read = [*structured_columns(own), *(c for pair in pairs for c in pair)]
        return (Tabular(tuple(dict.fromkeys(read))),)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        owner = type(self).__name__
        check_bool(self.ridge, parameter="ridge", owner=owner)
        check_number(
            self.max_levels, parameter="max_levels", owner=owner, low=2, integer=True
        )
        pairs = self.crossed if isinstance(self.crossed, list | tuple) else [None]
        for pair in pairs:
            names = pair if isinstance(pair, list | tuple) else ()
            if len(set(names)) < 2 or not all(isinstance(c, str) for c in names):
                raise ParameterError(
                    parameter="crossed",
                    owner=owner,
                    allowed="a list of tuples of two column names or more, such as "
                    "[('sex', 'stage')]",
                    given=self.crossed,
                )
        for name, terms, deep in (
            ("wide", _input.as_terms(self.wide), False),
            ("deep", () if self.deep is None else _input.as_terms(self.deep), True),
        ):
            for term in terms:
                if isinstance(term, DeepTerm) is not deep:
                    kind = "deep terms, such as tabular(a, b)" if deep else "structured"
                    raise ParameterError(
                        parameter=name, owner=owner, allowed=kind, given=term.label
                    )
        if self.wide is None and not self.crossed:
            raise ParameterError(
                parameter="wide",
                owner=owner,
                allowed="a formula, unless there are crossed columns",
                given=self.wide,
            )

    def _provided(self) -> tuple[str, ...]:
        crosses = [cross_name(pair) for pair in self.crossed] if self.ridge else []
        return (*super()._provided(), *crosses)

    def _columns(self, frame: pd.DataFrame, split: Any) -> list[str]:
        read = [c for pair in self.crossed for c in pair]
        _input.check_columns(self, frame, read)
        return list(dict.fromkeys([*super()._columns(frame, split), *read]))

    def _fit_features(
        self, split: Split, frame: pd.DataFrame, weight: np.ndarray | None
    ) -> tuple[Features, Split, dict[str, Any]]:
        features, split, encoders = super()._fit_features(split, frame, weight)
        pairs = self.crossed if self.ridge else []
        crosses = [Cross.fit(pair, frame, self.max_levels) for pair in pairs]
        features = Features([*features.parts, *crosses])
        features.check_free(list(frame.columns))
        return features, split, encoders

    def contributions(self, X: Any) -> pd.DataFrame:
        """Give what is memorised and what is generalised, on the scale of the link.

        Parameters
        ----------
        X : DataFrame of n rows
            The table.

        Returns
        -------
        DataFrame of n rows
            The columns ``memorisation`` (intercept, wide terms and crossed columns) and
            ``generalisation`` (deep terms); they add up to the linear predictor. With
            several linear predictors the columns have two levels, (predictor, part).
        """
        frame = self._frame(X)
        terms = self.predictor_.terms(frame)
        deep = {part.term.label for part in self.predictor_.parts.values()}
        tables = {}
        for name, own in zip(self._predictor_names(), terms, strict=True):
            parts = {
                "memorisation": [v for k, v in own.items() if k not in deep],
                "generalisation": [v for k, v in own.items() if k in deep],
            }
            none = np.zeros(len(frame))
            sums = {part: np.sum([none, *v], axis=0) for part, v in parts.items()}
            tables[name] = pd.DataFrame(sums, index=frame.index)
        if len(tables) == 1:
            return next(iter(tables.values()))
        return pd.concat(tables, axis=1)


@register
class WideDeepClassifier(_WideDeep, SemiStructuredClassifier):
    """Wide & Deep classification: memorisation and generalisation in one model.

    The wide part is linear in its terms and in crossed columns, whose combinations of
    levels it memorises one by one; the deep part is a network of the same columns, of
    images or of genes, which generalises to combinations that were not seen. Both are
    added on the logit scale.

    Parameters
    ----------
    wide : str, list of Term or None, default=None
        Structured terms, such as ``"age + C(stage)"``.
    crossed : list of tuple of str, default=()
        Columns that are crossed, ``[("sex", "stage")]``: categories, booleans or whole
        numbers. Each combination has a coefficient.
    deep : str, list of Term or None, default=None
        Deep terms, such as ``"tabular(age, stage) + image(scan)"``. None is one
        ``tabular()`` of all columns that the wide part reads.
    ridge : bool, default=True
        Whether the coefficients of a cross are shrunk together, with a penalty that is
        estimated; a combination that was not seen in fit then has 0. False is the
        interaction ``C(a):C(b)`` without a penalty, for which the rows of fit need
        every combination.
    max_levels : int, default=500
        Greatest number of combinations of a cross; more of them are hashed to so many.
        For ``ridge=True``.
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Encoder of each deep term, by its column.
    orthogonalize : {"global", "none"}, default="global"
        Whether the wide terms (not the shrunk crosses) are taken out of the deep ones.
        "none" is nearest to Cheng et al., whose two parts may take over one another's
        work.
    training : Training, optional
        How deep terms are trained.
    missing : {"error", "drop"}, default="error"
        What fit does with rows that lack a structured or crossed column or y.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Notes
    -----
    Cheng et al. train both parts at once, by FTRL with an L1 penalty and AdaGrad. Here
    the wide part is fitted exactly, then the network with it as an offset, then the
    wide part again with the network as an offset: the wide coefficients have standard
    errors, and what both parts could explain is the wide part's. Everything that
    `SemiStructuredClassifier` has is there too.

    References
    ----------
    Cheng et al. (2016), DLRS, 7-10, doi:10.1145/2988450.2988454

    Examples
    --------
    >>> import numpy as np, pandas as pd, semistruct as ss
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame(rng.integers(0, 3, size=(400, 2)), columns=["a", "b"])
    >>> y = ((X["a"] + X["b"]) % 3 == 0) ^ (rng.random(400) < 0.1)
    >>> model = ss.WideDeepClassifier(
    ...     crossed=[("a", "b")], training=ss.Training(max_epochs=2), random_state=0
    ... ).fit(X, y)
    >>> model.score(X, y) > 0.85
    True
    >>> list(model.contributions(X))
    ['memorisation', 'generalisation']
    """

    firth = False

    def __init__(
        self,
        wide: Any = None,
        crossed: Sequence[Sequence[str]] = (),
        deep: Any = None,
        *,
        ridge: bool = True,
        max_levels: int = 500,
        encoders: Mapping[str, Any] | None = None,
        orthogonalize: str = "global",
        training: Training | None = None,
        missing: str = "error",
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.wide = wide
        self.crossed = crossed
        self.deep = deep
        self.ridge = ridge
        self.max_levels = max_levels
        self.encoders = encoders
        self.orthogonalize = orthogonalize
        self.training = training
        self.missing = missing
        self.random_state = random_state
        self.progress = progress


@register
class WideDeepRegressor(_WideDeep, SemiStructuredRegressor):
    """Wide & Deep regression: memorisation and generalisation in one model.

    As `WideDeepClassifier`, for a number.

    Parameters
    ----------
    wide : str, list of Term or None, default=None
        Structured terms, such as ``"age + C(stage)"``.
    crossed : list of tuple of str, default=()
        Columns that are crossed, ``[("sex", "stage")]``: categories, booleans or whole
        numbers. Each combination has a coefficient.
    deep : str, list of Term or None, default=None
        Deep terms; None is one ``tabular()`` of all columns that the wide part reads.
    family : str or Family, default="gaussian"
        Distribution of ``y`` given the terms, see `semistruct.families`.
    ridge : bool, default=True
        Whether the coefficients of a cross are shrunk together, see
        `WideDeepClassifier`.
    max_levels : int, default=500
        Greatest number of combinations of a cross; more of them are hashed to so many.
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Encoder of each deep term, by its column.
    orthogonalize : {"global", "none"}, default="global"
        Whether the wide terms (not the shrunk crosses) are taken out of the deep ones.
    training : Training, optional
        How deep terms are trained.
    missing : {"error", "drop"}, default="error"
        What fit does with rows that lack a structured or crossed column or y.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    References
    ----------
    Cheng et al. (2016), DLRS, 7-10, doi:10.1145/2988450.2988454

    Examples
    --------
    >>> import numpy as np, pandas as pd, semistruct as ss
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame(rng.integers(0, 4, size=(400, 2)), columns=["a", "b"])
    >>> y = rng.normal(size=(4, 4))[X["a"], X["b"]] + 0.1 * rng.normal(size=400)
    >>> model = ss.WideDeepRegressor(
    ...     crossed=[("a", "b")], training=ss.Training(max_epochs=2), random_state=0
    ... ).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    """

    method = "REML"

    def __init__(
        self,
        wide: Any = None,
        crossed: Sequence[Sequence[str]] = (),
        deep: Any = None,
        *,
        family: str | Family = "gaussian",
        ridge: bool = True,
        max_levels: int = 500,
        encoders: Mapping[str, Any] | None = None,
        orthogonalize: str = "global",
        training: Training | None = None,
        missing: str = "error",
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.wide = wide
        self.crossed = crossed
        self.deep = deep
        self.family = family
        self.ridge = ridge
        self.max_levels = max_levels
        self.encoders = encoders
        self.orthogonalize = orthogonalize
        self.training = training
        self.missing = missing
        self.random_state = random_state
        self.progress = progress
