"""Errors and warnings: every message says what, whose, where and what to do."""

from __future__ import annotations

# torch before the rest: a full garbage collection that falls into the import then finds
# fewer objects, which takes a quarter of a second off (benchmarks/import_time.py)
# isort: off
import torch as _torch  # noqa: F401
import pandas as _pandas  # noqa: F401, ICN001
# isort: on

import numpy as _np  # noqa: ICN001
from sklearn.exceptions import ConvergenceWarning, NotFittedError

__all__ = [
    "ColumnError",
    "ConvergenceWarning",
    "DataError",
    "DependencyError",
    "FitInterruptedWarning",
    "FormulaError",
    "ImageError",
    "InferenceWarning",
    "NotFittedError",
    "ParameterError",
    "PersistenceError",
    "SemistructError",
    "TargetError",
    "TrainingError",
    "UnseenLevelError",
]


def shown(value: object) -> str:
    """Write a value as a message shows it: NumPy's scalars as plain ones."""
    return repr(value.item() if isinstance(value, _np.generic) else value)


class SemistructError(Exception):
    """Base of all errors that semistruct raises by itself."""


class ParameterError(SemistructError, ValueError):
    """A parameter has a value that it may not have.

    Parameters
    ----------
    parameter : str
        Name of the parameter.
    owner : str
        Class or function that it belongs to.
    allowed : str
        What would have been allowed, in words.
    given : object
        What was given; shown by ``repr``.
    hint : str, default=""
        What to do about it.

    Examples
    --------
    >>> from semistruct.exceptions import ParameterError
    >>> print(ParameterError(parameter="k", owner="s()", allowed="an int > 3", given=2))
    The parameter 'k' of s() must be an int > 3; got 2.
    """

    def __init__(
        self,
        *,
        parameter: str,
        owner: str,
        allowed: str,
        given: object,
        hint: str = "",
    ) -> None:
        self.parameter = parameter
        self.owner = owner
        self.allowed = allowed
        self.given = given
        self.hint = hint
        text = f"The parameter {parameter!r} of {owner} must be {allowed}; got "
        super().__init__(f"{text}{shown(given)}.{' ' + hint.strip() if hint else ''}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_parameter_error, (
            self.parameter,
            self.owner,
            self.allowed,
            self.given,
            self.hint,
        )


def _rebuild_parameter_error(
    parameter: str, owner: str, allowed: str, given: object, hint: str
) -> ParameterError:
    return ParameterError(
        parameter=parameter, owner=owner, allowed=allowed, given=given, hint=hint
    )


class FormulaError(SemistructError, ValueError):
    """A formula is not in the language of terms."""


class DataError(SemistructError, ValueError):
    """A table, or a cell of it, cannot be used."""


class ColumnError(DataError):
    """A column that a term names is not in the table."""


class TargetError(DataError):
    """The target ``y`` is not of the kind that the family takes."""


class UnseenLevelError(DataError):
    """A categorical column holds a level that was not there in ``fit``."""


class ImageError(DataError):
    """An image cannot be read, or does not fit the others of its column."""


class TrainingError(SemistructError, RuntimeError):
    """Training cannot go on, for instance since the loss is not finite."""


class PersistenceError(SemistructError, ValueError):
    """A saved model cannot be written or read."""


class DependencyError(SemistructError, ImportError):
    """A package that is only needed for this is not there, or cannot be imported."""


class FitInterruptedWarning(UserWarning):
    """A fit was stopped by the user; the best state so far was kept."""


class InferenceWarning(UserWarning):
    """Standard errors or tests are to be read with a caveat."""
