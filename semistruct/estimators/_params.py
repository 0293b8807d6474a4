"""Parameters that reach into encoders and training, as grid searches need them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from sklearn.base import BaseEstimator, clone

from semistruct._core.terms import Fuse
from semistruct._core.validation import suggest
from semistruct.encoders import Encoder, get_encoder
from semistruct.engine import Training
from semistruct.exceptions import ParameterError, SemistructError
from semistruct.fusion import Fusion, get_fusion

from ._early_names import encoded
from ._input import as_formulas

__all__ = ["ReachingParams"]


class ReachingParams(BaseEstimator):
    """Adds ``<term>__<option>`` of encoders and ``training__<option>`` to parameters.

    ``scan__width`` is the parameter ``width`` of the encoder of the deep term on the
    column ``scan``, whether it stands in ``encoders=`` or is the term's default.
    """

    terms: Any
    encoders: Mapping[str, Any] | None
    training: Training | None
    head: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the options of encoders and of training.

        Returns
        -------
        dict of str to object
        """
        params = super().get_params(deep=False)
        if deep:
            nested: dict[str, Any] = self._specs()
            if "training" in params:
                training = Training() if self.training is None else self.training
                nested = {"training": training, **nested}
            for key in ("head", "inference"):
                if key in params:
                    nested = {key: params[key], **nested}
            nested = {k: v for k, v in nested.items() if hasattr(v, "get_params")}
            for key, spec in nested.items():
                options = spec.get_params(deep=True)
                params |= {f"{key}__{name}": value for name, value in options.items()}
        return params

    def set_params(self, **params: Any) -> Any:
        """Set parameters; ``scan__width=32`` reaches into the encoder of ``scan``.

        Parameters
        ----------
        **params : object
            Parameters of the estimator, or ``<term>__<option>``.

        Returns
        -------
        self

        Raises
        ------
        ParameterError
            If a name is not known; the nearest known one is named.
        """
        plain = {k: v for k, v in params.items() if "__" not in k}
        known = type(self)._get_param_names()
        for key, value in plain.items():
            if key not in known:
                self._refuse(key, known)
            setattr(self, key, value)
        for key, value in params.items():
            if key not in plain:
                self._set_nested(key, value)
        return self

    def _set_nested(self, key: str, value: Any) -> None:
        owner, _, option = key.rpartition("__")
        if owner == "training" and owner in type(self)._get_param_names():
            training = clone(self.training) if self.training else Training()
            options = training.get_params()
            if option not in options:
                self._refuse(key, [f"training__{name}" for name in options])
            self.training = training.set_params(**{option: value})
            return
        if owner in ("head", "inference") and hasattr(
            getattr(self, owner, None), "get_params"
        ):
            part: Any = clone(getattr(self, owner))
            if option not in part.get_params():
                self._refuse(key, [f"{owner}__{name}" for name in part.get_params()])
            setattr(self, owner, part.set_params(**{option: value}))
            return
        specs = self._specs()
        if owner not in specs:
            self._refuse(key, [*type(self)._get_param_names(), *self.get_params()])
        spec = clone(specs[owner])
        if option not in spec.get_params():
            self._refuse(key, [f"{owner}__{name}" for name in spec.get_params()])
        # a new dict: the one given may belong to another estimator
        changed = {owner: spec.set_params(**{option: value})}
        self.encoders = {**(self.encoders or {}), **changed}

    def _refuse(self, key: str, known: Any) -> None:
        raise ParameterError(
            parameter=key,
            owner=type(self).__name__,
            allowed="a parameter that it has",
            given=key,
            hint=suggest(key, known) + " See get_params().",
        )

    def _specs(self) -> dict[str, Encoder | Fusion]:
        """Give the encoder specifications, given or default, by key."""
        if "encoders" not in type(self)._get_param_names():
            return {}
        given = self.encoders if isinstance(self.encoders, Mapping) else {}
        found: dict[str, Any] = dict(given)
        try:
            formulas = as_formulas(self.terms)
        except SemistructError:
            formulas = {}  # fit says what is wrong with them
        every = itertools.chain(*formulas.values())
        for term in itertools.chain.from_iterable(encoded(t) for t in every):
            key = term.label if term.label in given else term.name
            try:
                if isinstance(term, Fuse):
                    found[key] = get_fusion(given.get(key, term.how))
                else:
                    spec = given.get(key, getattr(term, "encoder", None))
                    found[key] = get_encoder(spec, term)
            except SemistructError:
                continue
        return {k: s for k, s in found.items() if isinstance(s, Encoder | Fusion)}
