"""Wrong parameters and terms: each is a named error of fit, never of __init__."""

from __future__ import annotations

import numpy as np
import pytest

import semistruct as ss
from semistruct.exceptions import FormulaError, ParameterError

WRONG = {
    "orthogonalize": (
        "globl",
        r"one of 'global', 'batch', 'post_hoc', 'none'; got 'globl'.*mean 'global'\?",
    ),
    "missing": (
        "dorp",
        r"one of 'error', 'drop', 'indicator'; got 'dorp'.*mean 'drop'\?",
    ),
    "training": ({"max_epochs": 3}, "a Training object or None; got"),
    "encoders": (["cnn"], "a dict from column to encoder, or None; got"),
    "progress": ("yes", "True or False; got 'yes'"),
    "terms": (3, r"a formula, a list of terms such as Smooth\('bmi'\), or None; got 3"),
    "random_state": ("seed", "None, an int >= 0.*got 'seed'"),
}


@pytest.mark.parametrize("parameter", WRONG)
def test_wrong_parameter(case, parameter):
    given, message = WRONG[parameter]
    model = case.make(**{parameter: given})  # __init__ only stores
    with pytest.raises(ParameterError, match=rf"'{parameter}' of .* must be {message}"):
        model.fit(case.X, case.y)


@pytest.mark.parametrize(
    ("estimator", "parameter", "given", "message"),
    [
        ("Survival", "head", "coxx", r"one of 'cox'.*got 'coxx'. Did you mean 'cox'\?"),
        ("Survival", "ties", "effron", r"'efron', 'breslow'.*Did you mean 'efron'\?"),
        ("Regressor", "family", "gausian", r"got 'gausian'.*mean 'gaussian'\?"),
    ],
)
def test_wrong_choice_of_one_estimator(estimator, parameter, given, message):
    X, y = ss.datasets.load_rossi()
    model = getattr(ss, f"SemiStructured{estimator}")("age", **{parameter: given})
    with pytest.raises(ParameterError, match=rf"'{parameter}' of .*{message}"):
        model.fit(X, y if estimator == "Survival" else y.time)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"max_epochs": 0},
            r"'max_epochs' of SemiStructured.* an integer in \[1, inf\)",
        ),
        ({"learning_rate": -1.0}, r"'learning_rate' .* a number in \(0, inf\)"),
        ({"validation_fraction": 1.0}, r"'validation_fraction' .* in \[0, 1\)"),
        ({"optimizer": "adm"}, r"'optimizer' .*Did you mean 'adam'\?"),
        ({"device": "gpu"}, r"'device' .*'auto', 'cpu', 'cuda'"),
        ({"batch_size": 2.5}, r"'batch_size' .* an integer"),
    ],
)
def test_wrong_training(case, options, message):
    """Also where the terms would train nothing."""
    for terms in ("age", "age + image(scan)"):
        model = case.make(terms, training=ss.Training(**options))
        with pytest.raises(ParameterError, match=message):
            model.fit(case.X, case.y)


@pytest.mark.parametrize("name", ["Classifier", "Survival"])
def test_a_dict_of_terms_is_for_several_parameters_only(name):
    X, y = ss.datasets.load_rossi()
    model = getattr(ss, f"SemiStructured{name}")({"loc": "age", "scale": "prio"})
    with pytest.raises((ParameterError, NotImplementedError), match="a dict"):
        model.fit(X, y.event if name == "Classifier" else y)


@pytest.mark.parametrize(
    "terms",
    [
        "age + image(scan) + image(scan, by=bmi)",
        [ss.terms.Image("scan"), ss.terms.Image("scan", encoder="mlp")],
    ],
)
def test_two_deep_terms_on_one_column(case, terms):
    with pytest.raises(FormulaError, match="Two deep terms read 'scan'"):
        case.make(terms).fit(case.X, case.y)


def test_a_formula_is_data(case):
    for terms in ("age + C(__import__('os'))", "eval('1') + age"):
        with pytest.raises(FormulaError):
            case.make(terms).fit(case.X, case.y)


def test_a_formula_that_ends_early_is_shown(case):
    with pytest.raises(FormulaError, match="ends where a term should stand"):
        case.make("age + ").fit(case.X, case.y)
    with pytest.raises(FormulaError, match=r"no argument 'kk'.*Did you mean 'k'\?"):
        case.make("s(bmi, kk=5)").fit(case.X, case.y)


def test_an_image_of_an_odd_size(case):
    term = ss.terms.Image("scan", size="big")
    with pytest.raises(ParameterError, match=r"'size' of image.*got 'big'"):
        case.make([term]).fit(case.X, case.y)


def test_nothing_is_learned_when_fit_fails(case):
    model = case.make("agee")
    with pytest.raises(ss.exceptions.ColumnError):
        model.fit(case.X, case.y)
    with pytest.raises(ss.exceptions.NotFittedError):
        model.predict(case.X)
    assert np.isfinite(case.X["age"]).all()
