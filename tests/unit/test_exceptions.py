"""Every error has its bases, survives a process boundary and says what to do."""

from __future__ import annotations

import copy
import pickle

import pytest
import sklearn.exceptions

from semistruct import exceptions as e

PLAIN = [
    e.SemistructError,
    e.FormulaError,
    e.DataError,
    e.ColumnError,
    e.TargetError,
    e.UnseenLevelError,
    e.ImageError,
    e.TrainingError,
    e.PersistenceError,
    e.DependencyError,
]


def test_every_public_name_is_an_exception():
    assert e.__all__ == sorted(e.__all__)
    for name in e.__all__:
        assert issubclass(getattr(e, name), Exception)


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_errors_keep_their_message(kind):
    error = kind("row 3 of 'scan': what, where, what to do")
    assert str(error) == "row 3 of 'scan': what, where, what to do"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert isinstance(error, e.SemistructError)


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (e.ParameterError, ValueError),
        (e.FormulaError, ValueError),
        (e.DataError, ValueError),
        (e.ColumnError, e.DataError),
        (e.TargetError, e.DataError),
        (e.UnseenLevelError, e.DataError),
        (e.ImageError, e.DataError),
        (e.TrainingError, RuntimeError),
        (e.PersistenceError, ValueError),
        (e.FitInterruptedWarning, UserWarning),
        (e.InferenceWarning, UserWarning),
    ],
)
def test_bases(kind, base):
    assert issubclass(kind, base)


def test_scikit_learns_own_are_not_copies():
    assert e.ConvergenceWarning is sklearn.exceptions.ConvergenceWarning
    assert e.NotFittedError is sklearn.exceptions.NotFittedError


def test_parameter_error_names_parameter_owner_allowed_and_given():
    error = e.ParameterError(parameter="k", owner="s()", allowed="an int >= 4", given=2)
    assert str(error) == "The parameter 'k' of s() must be an int >= 4; got 2."
    assert (error.parameter, error.owner, error.given) == ("k", "s()", 2)


@pytest.mark.parametrize("hint", ["Take more rows.", "  Take more rows.  "])
def test_parameter_error_ends_with_its_hint(hint):
    error = e.ParameterError(
        parameter="k", owner="s()", allowed="small", given="x", hint=hint
    )
    assert str(error).endswith("got 'x'. Take more rows.")


@pytest.mark.parametrize("clone", [copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
def test_parameter_error_survives_a_process_boundary(clone):
    error = e.ParameterError(
        parameter="k", owner="s()", allowed="small", given=[1], hint="Less."
    )
    again = clone(error)
    assert type(again) is e.ParameterError
    assert str(again) == str(error)
    for name in ("parameter", "owner", "allowed", "given", "hint"):
        assert getattr(again, name) == getattr(error, name)
