"""What all semi-structured estimators share: the shell around one fit."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from semistruct._core.persistence import write_state
from semistruct._core.randomness import RandomState
from semistruct._core.terms import Linear
from semistruct._core.validation import check_bool, check_choice, check_number
from semistruct.design import StructuredDesign, structured_columns
from semistruct.engine import Progress, Training
from semistruct.exceptions import (
    ConvergenceWarning,
    DataError,
    FitInterruptedWarning,
    ParameterError,
)
from semistruct.solvers import ExactFit, RankDeficiencyError

from . import _input
from ._auxiliary import Auxiliary
from ._early import Split, fit_features, sources
from ._features import Features
from ._fitting import AdditiveFit, DeepSettings, fit_additive
from ._heads import Head
from ._inference import check_inference, resolve_inference
from ._missing import MissingIndicator
from ._params import ReachingParams
from ._profile import column_profile
from ._state import estimator_to_state
from ._summary import Summary, summarize
from ._terms import FittedTerms

__all__ = ["SemiStructuredEstimator"]


class SemiStructuredEstimator(FittedTerms, ReachingParams, ABC):
    """Shell of the estimators: parameters, checks, prediction by terms; abstract."""

    terms: Any
    encoders: Mapping[str, Any] | None
    orthogonalize: str
    strategy: str = "joint"
    inference: Any = "conditional"
    estimand: str = "projection"
    training: Training | None
    missing: str
    random_state: RandomState
    progress: bool
    max_bins: int | None = None
    modality_dropout: float | Mapping[str, float] = 0.0
    features_: Features
    feature_names_in_: np.ndarray

    # -- fitting ----------------------------------------------------------------

    @abstractmethod
    def _make_head(
        self,
        y: Any,
        weight: np.ndarray | None,
        var_weight: np.ndarray | None,
        formulas: list[str | None],
    ) -> Head:
        """Check the target and make the head of the fit; sets what it learns of y.

        ``formulas`` names the parameters that have one; None is the only formula.
        """

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        groups: Any,
        var_weights: Any = None,
    ) -> tuple[Head, AdditiveFit]:
        self._check_parameters()
        frame = _input.as_frame(self, X, reset=True)
        columns = list(frame.columns)
        given = _input.as_formulas(self.terms, columns)
        y = self._check_y(y, len(frame))
        formulas = self._formulas(given, columns, y)
        rows = {
            "sample_weight": _input.check_weight(self, sample_weight, len(frame)),
            "var_weights": _input.check_weight(
                self, var_weights, len(frame), "var_weights"
            ),
            "groups": _input.check_groups(groups, len(frame)),
        }
        split = {name: _input.split_terms(terms) for name, terms in formulas.items()}
        columns = self._columns(frame, split.values())
        if self.missing == "drop":
            keep = _input.drop_missing(frame, columns, y, self)
            frame, y = frame.loc[keep], y[keep]
            rows = {k: None if v is None else v[keep] for k, v in rows.items()}
        if hasattr(self, "missing_"):
            del self.missing_  # of an earlier fit
        weight = rows["sample_weight"]
        cases = getattr(y, "weights", None) if weight is None else weight
        if self.missing == "indicator":
            read = [term for structured, _ in split.values() for term in structured]
            self.missing_ = MissingIndicator.fit(read, frame, cases)
            frame = self.missing_.transform(frame)
            split = {k: (self.missing_.terms(s), d) for k, (s, d) in split.items()}
        self.features_, split, encoders = self._fit_features(split, frame, cases)
        frame = self.features_.transform(frame)
        head = self._make_head(y, weight, rows["var_weights"], list(formulas))
        fitted_designs = {
            name: head.fit_design(structured or (Linear("1"),), frame, cases)
            for name, (structured, _) in split.items()
        }
        # one formula serves every linear predictor
        keys = [str(name) if str(name) in split else None for name in head.names]
        designs = [fitted_designs[key] for key in keys]
        deep = _input.deep_targets([split[key][1] for key in keys])
        self._check_rows(designs, cases, len(frame))
        settings = DeepSettings(
            encoders=encoders,
            training=self.training or Training(),
            orthogonalize=self.orthogonalize,
            strategy=self.strategy,
            inference=resolve_inference(self.inference, type(self).__name__),
            estimand=self.estimand,
            owner=type(self).__name__,
            random_state=self.random_state,
            callbacks=[Progress(type(self).__name__)] if self.progress else [],
            groups=rows["groups"],
            max_bins=self.max_bins,
            modality_dropout=self.modality_dropout,
            auxiliary=self._auxiliary(),
        )
        try:
            with warnings.catch_warnings():
                # told below, with names in the place of numbers
                warnings.simplefilter("ignore", ConvergenceWarning)
                fitted = fit_additive(head, designs, deep, frame, settings)
        except RankDeficiencyError as error:
            names = [n for design in designs for n in design.names]
            redundant = ", ".join(repr(names[j]) for j in error.columns)
            kinds = {names[j].split(": ")[-1].partition("(")[0] for j in error.columns}
            beside = ""
            if "te" in kinds:
                beside = " Beside s(x), ti(x, z) holds the interaction only."
            elif "s" in kinds:
                beside = " s(x) holds x itself; te(x, z) holds s(x) and s(z)."
            elif kinds & {"cr", "cc"}:
                beside = (
                    " Beside an intercept write constraints='center' in cr(), cc()."
                )
            raise DataError(
                f"{type(self).__name__}: the columns {redundant} are "
                "linear combinations of the others, so their coefficients are not "
                f"determined. Take them out of the terms.{beside}"
            ) from error
        self._warn_of_convergence(fitted.exact, designs)
        self._learn(head, fitted, frame, X)
        self.deviances_ = head.deviances(fitted.exact)
        self.target_digest_ = head.digest()
        self.terms_ = formulas.get(None, formulas)
        return head, fitted

    def _formulas(
        self, formulas: dict[Any, Any], columns: Sequence[str], y: Any = None
    ) -> dict[Any, Any]:
        """Complete the formulas that were given; ``y`` is None before fit."""
        return formulas

    def _fit_features(
        self, split: Split, frame: pd.DataFrame, weight: np.ndarray | None
    ) -> tuple[Features, Split, dict[str, Any]]:
        """Learn the columns that are computed; give the terms that read them."""
        device = (self.training or Training()).device
        given = self.encoders or {}
        return fit_features(split, frame, given, weight, device)

    def _auxiliary(self) -> Auxiliary | None:
        """Give the further loss of the deep terms, where a system has one."""
        return None

    def _provided(self) -> tuple[str, ...]:
        """Name columns that terms may read and the table need not have."""
        return ()

    def _columns(self, frame: pd.DataFrame, split: Iterable[Any]) -> list[str]:
        """Check that the columns are there; give those that may not be missing."""
        known, needed = list(frame.columns), []
        for structured, deep in split:
            read = [c for t in deep for c in sources(t, known)]
            by = [b for t in deep if (b := getattr(t, "by", None)) is not None]
            _input.check_columns(self, frame, [*read, *by])
            needed += [*structured_columns(structured), *by]
        needed = [c for c in needed if c not in self._provided()]
        if self.missing == "drop":
            _input.check_columns(self, frame, needed)
        return list(dict.fromkeys(needed))

    def _learn(
        self, head: Head, fitted: AdditiveFit, frame: pd.DataFrame, X: Any
    ) -> None:
        predictor = fitted.predictor
        read = [c for p in predictor.parts.values() for c in p.modality.columns]
        used = set(self.features_.origins([*predictor.columns, *read]))
        if hasattr(self, "missing_"):
            used -= set(self.missing_.indicators)
        if isinstance(X, pd.DataFrame):
            columns = [c for c in frame.columns if c in used]
            self.n_features_in_ = len(columns)
            if hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
            if all(isinstance(c, str) for c in X.columns):
                self.feature_names_in_ = np.asarray(columns, dtype=object)
        self.predictor_ = predictor
        # rows of fit are not kept: what a fitted model holds does not grow with n
        none = np.empty((0, 1))
        self.exact_ = replace(fitted.exact, linear_predictor=none, working_weight=none)
        self.n_rows_ = len(fitted.exact.linear_predictor)
        self.deep_share_ = fitted.shares
        self.inference_ = fitted.report
        structured = [c for design in predictor.designs for c in design.columns]
        self.profile_ = column_profile(
            head.completed(frame), list(dict.fromkeys(structured))
        )
        result = fitted.training
        self.history_ = pd.DataFrame(result.history if result else [])
        if result is not None and result.interrupted:
            warnings.warn(
                f"{type(self).__name__}: the fit was interrupted in epoch "
                f"{result.n_epochs + 1}; the estimator holds the best state so far, "
                f"that of epoch {result.best_epoch}.",
                FitInterruptedWarning,
                stacklevel=4,
            )

    def _warn_of_convergence(
        self, fit: ExactFit, designs: Sequence[StructuredDesign]
    ) -> None:
        """Say what did not converge, coefficients by their names."""
        if fit.converged and not fit.diverging:
            return
        names = [name for design in designs for name in design.names]
        text = fit.message
        if fit.diverging:
            places = [(0, len(names)), *((at.start, at.stop) for at in fit.slices)]
            for start, stop in places:  # of all, or of each cause
                wild = [j for j in fit.diverging if start <= j < stop]
                text = text.replace(
                    str(wild), ", ".join(repr(names[j]) for j in wild) or str(wild)
                )
        warnings.warn(
            f"{type(self).__name__}: {text}", ConvergenceWarning, stacklevel=4
        )

    def _check_parameters(self) -> None:
        owner = type(self).__name__
        check_inference(
            self.strategy, self.inference, self.estimand, self.orthogonalize, owner
        )
        kinds = ("error", "drop", "indicator")
        check_choice(self.missing, kinds, parameter="missing", owner=owner)
        check_bool(self.progress, parameter="progress", owner=owner)
        rates = self.modality_dropout
        for rate in rates.values() if isinstance(rates, Mapping) else (rates,):
            check_number(
                rate,
                parameter="modality_dropout",
                owner=owner,
                low=0,
                high=1,
                closed="left",
            )
        if self.training is not None:
            if not isinstance(self.training, Training):
                raise ParameterError(
                    parameter="training",
                    owner=owner,
                    allowed="a Training object or None",
                    given=self.training,
                )
            self.training.check(owner)
        if self.encoders is not None and not isinstance(self.encoders, Mapping):
            raise ParameterError(
                parameter="encoders",
                owner=owner,
                allowed="a dict from column to encoder, or None",
                given=self.encoders,
            )

    def _check_y(self, y: Any, n: int) -> Any:
        return _input.check_target_given(self, y, n)

    def _check_rows(
        self,
        designs: Sequence[StructuredDesign],
        weight: np.ndarray | None,
        n: int,
    ) -> None:
        free = 0
        for design in designs:
            penalized = np.zeros(design.n_coefficients, dtype=bool)
            for penalty in design.penalties:
                penalized[penalty.start : penalty.stop] = True
            free = max(free, int((~penalized).sum()))
        rows = n if weight is None else int((weight > 0).sum())
        if rows <= free:
            raise DataError(
                f"{type(self).__name__}: n_samples = {rows} is not enough for {free} "
                "coefficients without a penalty. Use fewer columns in the terms, or "
                "put them into a penalised or a deep term (omics(), tabular())."
            )

    def _only_formula(self, formulas: list[str | None]) -> None:
        """Refuse a dict of formulas."""
        if formulas != [None]:
            raise ParameterError(
                parameter="terms",
                owner=type(self).__name__,
                allowed="one formula, not a dict of formulas",
                given=self.terms,
            )

    # -- what a summary shows ---------------------------------------------------

    _ratio: str | None = None  # name of exp(coef), where it has one
    _ratio_of: str | None = None  # the linear predictor that has it; None: all

    def _has_dispersion(self) -> bool:
        """Whether a dispersion is estimated, so that tests are t tests."""
        family = getattr(self, "family_", None)
        return family is not None and family.has_dispersion

    def _likelihood_kind(self) -> str:
        """Name what the likelihood is of, so that models can be compared."""
        return "a number"

    def _coded(self, y: np.ndarray) -> np.ndarray:
        """Code a checked target as the family takes it."""
        return self.family_.check_target(y, type(self).__name__)

    def _title(self) -> str:
        """Estimator and head."""
        return f"{type(self).__name__}: {self.family_.name}"

    def summary(self) -> Summary:
        """Summarise the fit: coefficients, smooths, deep terms and what they rest on.

        Returns
        -------
        Summary
            Prints as text; ``.coefficients``, ``.smooths`` and ``.deep`` are
            DataFrames.
        """
        check_is_fitted(self, "predictor_")
        return summarize(self)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Save the fitted model as JSON and safetensors; no code is stored.

        Parameters
        ----------
        folder : path-like
            Where to; a saved model that is there is replaced.
        """
        check_is_fitted(self, "predictor_")
        write_state(folder, estimator_to_state(self))

    # -- scikit-learn -----------------------------------------------------------

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = False
        tags.non_deterministic = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "predictor_")
