"""Hostile formulas are refused before anything of them is evaluated."""

import formulaic
import numpy as np
import pandas as pd
import pytest

from semistruct._core.terms import Linear
from semistruct.design import StructuredDesign, parse_formula
from semistruct.exceptions import FormulaError

# TOUCH writes a file; each formula would run it, or reach what could.
TOUCH = "__import__('pathlib').Path({path!r}).touch()"
HOSTILE = [
    "C(TOUCH)",
    "I(TOUCH)",
    "I(TOUCH or x)",
    "x + TOUCH",
    "x:TOUCH",
    "{TOUCH}",
    "{TOUCH or x}",
    "np.log(TOUCH)",
    "np.log(x, TOUCH)",
    "np.log(x, out=TOUCH)",
    "poly(x, TOUCH)",
    "poly(x, degree=TOUCH)",
    "poly(x, **TOUCH)",
    "poly(*TOUCH)",
    "bs(x, df=5, knots=[TOUCH])",
    "bs(x, **{'df': TOUCH})",
    "C(x, contr.treatment(TOUCH))",
    "C(x, contr.treatment(base=TOUCH))",
    "C(x, contr.custom(TOUCH))",
    "C(x, contrasts=TOUCH)",
    "C(x, levels=[TOUCH])",
    "C(x, TOUCH)",
    "I((lambda: TOUCH)())",
    "I([TOUCH for _ in (1,)])",
    "I({TOUCH for _ in (1,)})",
    "I({1: TOUCH})",
    "I(sum(TOUCH for _ in (1,)))",
    "I((y := TOUCH))",
    "I(x if TOUCH else x)",
    "I(x and TOUCH)",
    "I(x > TOUCH)",
    'I(f"{TOUCH}")',
    "f'{TOUCH}'",
    "I(x[TOUCH])",
    "x[TOUCH]",
    "[TOUCH]",
    "(TOUCH)",
    "(x + TOUCH)**2",
    "x**TOUCH",
    "x / TOUCH",
    "np.log(x).real(TOUCH)",
    "np.load(TOUCH)",
    "np.log.__class__(TOUCH)",
    "np.__dict__[TOUCH]",
    "x.pipe(TOUCH)",
    "hashed(x, levels=TOUCH)",
    "Q(TOUCH)",
    "open(TOUCH)",
    "eval('TOUCH')",
    "exec('TOUCH')",
    "I(__FORMULAIC_CONTEXT__)",
    "I(x.__class__)",
    "I(().__class__.__bases__[0].__subclasses__())",
    "C(x.__class__.__mro__)",
    "__import__('os')",
    "`__import__`('os')",
    "I(`__import__`)",
    "__builtins__",
    "I(__builtins__)",
    "s(TOUCH)",
    "s(x, k=TOUCH)",
    "s(x, sp=TOUCH)",
    "s(x, by=TOUCH)",
    "s(x)(TOUCH)",
    "te(x, TOUCH)",
    "te(*TOUCH)",
    "re(TOUCH)",
    "offset(TOUCH)",
    "image(TOUCH)",
    "image(x, encoder=TOUCH)",
    "image(x, size=[TOUCH])",
    "image(x, **TOUCH)",
    "fuse(image(x), TOUCH)",
    "pca(image(x), TOUCH)",
    "pretrained(TOUCH, x)",
    "x ~ TOUCH",
    "TOUCH ~ x",
    "x | TOUCH",
    "x %in% TOUCH",
    "x)(TOUCH",
    "I(x\n)+TOUCH",
    "I(x) if TOUCH else x",
    "I(await_(TOUCH))",
    "I(x @ TOUCH)",
    "I(x << TOUCH)",
    "I(...)",
    "I('TOUCH')",
    "I(b'x')",
    "I(1j * x)",
    "'TOUCH'",
    "x\\\n+TOUCH",
    "x;TOUCH",
    "x #TOUCH",
    "I(x) + \x00TOUCH",
]


@pytest.fixture
def frame() -> pd.DataFrame:
    x = np.arange(1.0, 21.0)
    return pd.DataFrame({"x": x, "y": np.sin(x), "await_": x})


@pytest.mark.parametrize("formula", HOSTILE)
def test_hostile_formula_is_refused_and_nothing_runs(formula, frame, tmp_path) -> None:
    sentinel = tmp_path / "touched"
    text = formula.replace("TOUCH", TOUCH.format(path=str(sentinel)))
    with pytest.raises(FormulaError):
        parse_formula(text)
    with pytest.raises(FormulaError):
        StructuredDesign.fit((Linear(text),), frame)
    assert not sentinel.exists()


def test_the_sentinel_is_a_real_one(frame, tmp_path) -> None:
    sentinel = tmp_path / "touched"
    text = f"I({TOUCH.format(path=str(sentinel))} or x)"
    formulaic.model_matrix(text, frame)  # without our gate, formulaic runs it
    assert sentinel.exists()


def test_refusal_lists_what_is_allowed_and_points_at_the_place() -> None:
    text = "age + C(__import__('os'))"
    with pytest.raises(FormulaError, match=r"np\.log1p") as caught:
        parse_formula(text)
    _, shown, caret = str(caught.value).rsplit("\n", 2)
    assert shown.strip() == text
    assert shown[caret.index("^")] == "_"


@pytest.mark.parametrize(
    "formula",
    [
        "I(9**9**9**9)",
        "I(x**999999999)",
        "I(x * 1e999)",
        "poly(x, 10**9)",
        "poly(x, 1000000000)",
        "bs(x, df=1000000000)",
        "(x + y)**999999",
        "*".join("(" + "+".join(f"x{i}{j}" for j in range(10)) + ")" for i in range(8)),
        "(" * 5000 + "x" + ")" * 5000,
        "I(" + "(" * 5000 + "x" + ")" * 5000 + ")",
        "I(" + "-" * 50_000 + "x)",
        "I(" + "x+" * 50_000 + "x)",
        "s(" * 500 + "x" + ")" * 500,
        "fuse(" * 50 + "x" + ")" * 50,
        "x" * 300_000,
    ],
    ids=lambda text: text[:18],
)
def test_bombs_are_refused_at_once(formula) -> None:
    with pytest.raises(FormulaError):
        parse_formula(formula)


@pytest.mark.parametrize(
    ("formula", "hint"),
    [
        ("log(x)", "np.log"),
        ("np.logg(x)", "np.log"),
        ("numpy.sqrt(x)", "np.sqrt"),
        ("centre(x)", "center"),
        ("imge(scan)", "image"),
        ("tabula(x)", "tabular"),
        ("poly(x, dgree=2)", "degree"),
        ("bs(x, dff=3)", "df"),
    ],
)
def test_unknown_names_suggest_the_nearest(formula, hint) -> None:
    with pytest.raises(FormulaError, match=f"Did you mean '{hint}'"):
        parse_formula(formula)


@pytest.mark.parametrize("name", ["open", "eval", "exit", "print", "I", "np", "contr"])
def test_a_column_may_have_the_name_of_a_function(name, frame) -> None:
    table = frame.rename(columns={"x": name})
    design = StructuredDesign.fit(parse_formula(f"{name} + I({name}**2)"), table)
    expected = np.column_stack([np.ones(20), frame.x, frame.x**2])
    np.testing.assert_array_equal(design.matrix(table), expected)
