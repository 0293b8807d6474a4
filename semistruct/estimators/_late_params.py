"""Parameters that reach into the members of a fusion: ``img__scan__width``."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator

from semistruct._core.validation import suggest
from semistruct.exceptions import ParameterError

__all__ = ["MemberParams"]


class MemberParams(BaseEstimator):
    """Adds members and ``<member>__<parameter>`` to the parameters."""

    estimators: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the members and their parameters.

        Returns
        -------
        dict of str to object
        """
        params = super().get_params(deep=deep)
        if deep:
            for name, estimator in self._pairs():
                params[name] = estimator
                options = estimator.get_params(deep=True)
                params |= {f"{name}__{key}": value for key, value in options.items()}
        return params

    def set_params(self, **params: Any) -> Any:
        """Set parameters; ``img__scan__width=32`` reaches into the member ``img``.

        Parameters
        ----------
        **params : object
            Parameters of the fusion, members by name, or ``<member>__<parameter>``.

        Returns
        -------
        self

        Raises
        ------
        ParameterError
            If a name is not known; the nearest known one is named.
        """
        own = type(self)._get_param_names()
        for key in [k for k in params if k in own]:
            setattr(self, key, params.pop(key))
        members = dict(self._pairs())
        replaced = {k: params.pop(k) for k in list(params) if k in members}
        if replaced:
            self.estimators = [(n, replaced.get(n, e)) for n, e in self._pairs()]
        members = dict(self._pairs())
        if "meta" in own and hasattr(getattr(self, "meta", None), "set_params"):
            members["meta"] = self.meta
        nested: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            name = next((n for n in members if key.startswith(f"{n}__")), None)
            if name is None:
                raise ParameterError(
                    parameter=key,
                    owner=type(self).__name__,
                    allowed="a parameter that it has",
                    given=key,
                    hint=suggest(key, self.get_params()) + " See get_params().",
                )
            nested.setdefault(name, {})[key.removeprefix(f"{name}__")] = value
        for name, options in nested.items():
            members[name].set_params(**options)
        return self

    def _pairs(self) -> list[tuple[str, Any]]:
        """Give the members by name, as far as they are what they should be."""
        given = self.estimators if isinstance(self.estimators, list | tuple) else []
        return [
            (pair[0], pair[1])
            for pair in given
            if isinstance(pair, tuple) and len(pair) == 2 and _is_estimator(pair[1])
        ]

    def _check_members(self) -> None:
        """Refuse what is no list of named estimators."""
        owner = type(self).__name__
        pairs = self._pairs()
        names = [name for name, _ in pairs]
        if not pairs or len(pairs) < len(self.estimators):
            raise ParameterError(
                parameter="estimators",
                owner=owner,
                allowed="a list of pairs (name, estimator), one or more",
                given=self.estimators,
            )
        taken = type(self)._get_param_names()
        for name in names:
            if not isinstance(name, str) or not name or "__" in name or name in taken:
                raise ParameterError(
                    parameter="estimators",
                    owner=owner,
                    allowed="pairs whose name is a string that is not empty, holds no "
                    f"'__' and is none of {', '.join(map(repr, taken))}",
                    given=name,
                )
            if names.count(name) > 1:
                raise ParameterError(
                    parameter="estimators",
                    owner=owner,
                    allowed="pairs with names of their own",
                    given=f"two members {name!r}",
                )


def _is_estimator(value: Any) -> bool:
    methods = ("fit", "predict", "get_params")
    return not isinstance(value, type) and all(hasattr(value, m) for m in methods)
