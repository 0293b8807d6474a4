"""The parametric part: coding, columns of every kind, named errors."""

import formulaic
import numpy as np
import pandas as pd
import pytest

from semistruct._core.terms import Linear
from semistruct.design import StructuredDesign, parse_formula
from semistruct.exceptions import (
    ColumnError,
    DataError,
    FormulaError,
    UnseenLevelError,
)

N = 40


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "age": rng.uniform(40, 80, N),
            "bmi": rng.normal(25, 3, N),
            "n": np.arange(N) % 3 + 1,
            "stage": np.array(["II", "I", "III", "II"])[np.arange(N) % 4],
            "g": pd.Categorical(np.array(list("uvw"))[np.arange(N) % 3], list("wvux")),
            "flag": np.arange(N) % 2 == 0,
            "left eye": rng.normal(size=N),
            "x.1": rng.normal(size=N),
        },
        index=[f"row{i}" for i in range(N)],
    )


def fit(formula: str, frame: pd.DataFrame, **options) -> StructuredDesign:
    return StructuredDesign.fit(parse_formula(formula), frame, **options)


@pytest.mark.parametrize(
    "formula",
    [
        "1",
        "age",
        "age + C(stage)",
        "stage",
        "0 + stage",
        "-1 + age + stage",
        "age*stage",
        "age:stage",
        "stage:g",
        "stage*g - stage",
        "(age + bmi + n)**2 - age:n",
        "age/stage",
        "`left eye` + x.1 + np.exp(`left eye`)",
        "np.log(age) + np.log1p(age) + np.sqrt(age) + I(age**2 / bmi - 1)",
        "poly(age, 3) + poly(bmi, degree=2, raw=True)",
        "bs(age, df=5) + bs(bmi, df=4, degree=2)",
        "cr(age, df=5) + cc(bmi, df=4)",
        "cr(age, df=5, constraints='center')",
        "center(age) + scale(bmi) + scale(age, center=False)",
        "scale(np.log(age))",
        "C(stage, contr.sum) + C(g, contr.treatment('u'))",
        "C(stage, contr.helmert()) + C(n, contr.poly)",
        "C(stage, levels=['III', 'I', 'II'])",
        "C(n)",
    ],
)
def test_matrices_are_formulaic_s_and_survive_the_state(formula, frame) -> None:
    design = fit(formula, frame)
    table = frame.assign(g=frame.g.cat.remove_unused_categories())
    expected = formulaic.model_matrix(formula, table)
    x = design.matrix(frame)
    np.testing.assert_allclose(x, expected.to_numpy(float), rtol=1e-14, atol=1e-14)
    assert design.names == tuple(expected.columns)
    again = StructuredDesign.from_state(design.to_state())
    np.testing.assert_array_equal(again.matrix(frame), x)
    assert again.names == design.names
    assert again.blocks == design.blocks
    inner = frame[frame.age.between(*frame.age.quantile([0.1, 0.9]))].iloc[::-1]
    picked = x[frame.index.get_indexer(inner.index)]
    np.testing.assert_allclose(again.matrix(inner), picked, rtol=1e-13, atol=1e-13)


def test_blocks_and_columns(frame) -> None:
    design = fit("age*C(stage) + np.log(`left eye` + 9)", frame)
    assert [(b.label, b.kind, b.columns) for b in design.blocks] == [
        ("Intercept", "intercept", ()),
        ("age", "parametric", ("age",)),
        ("C(stage)", "parametric", ("stage",)),
        ("np.log(`left eye` + 9)", "parametric", ("left eye",)),
        ("age:C(stage)", "parametric", ("age", "stage")),
    ]
    assert design.names[2:4] == ("C(stage)[T.II]", "C(stage)[T.III]")
    assert design.columns == ("age", "stage", "left eye")
    stops = [b.stop for b in design.blocks]
    assert [b.start for b in design.blocks] == [0, *stops[:-1]]
    assert stops[-1] == design.n_coefficients


@pytest.mark.parametrize("formula", ["age + C(stage)", "0 + age + C(stage)"])
def test_without_intercept_the_coding_is_as_with_one(formula, frame) -> None:
    design = fit(formula, frame, intercept=False)
    whole = fit("age + C(stage)", frame)
    assert design.names == whole.names[1:]
    np.testing.assert_array_equal(design.matrix(frame), whole.matrix(frame)[:, 1:])
    assert [b.start for b in design.blocks] == [0, 1]
    again = StructuredDesign.from_state(design.to_state())
    np.testing.assert_array_equal(again.matrix(frame), design.matrix(frame))
    empty = fit("1", frame, intercept=False)
    assert empty.matrix(frame).shape == (N, 0)
    assert empty.blocks == ()


@pytest.mark.parametrize(
    "dtype",
    ["int8", "int64", "uint16", "float32", "Int64", "Float64", "bool", "boolean"],
)
def test_numbers_of_every_kind(dtype, frame) -> None:
    frame["v"] = pd.Series(np.arange(N) % 2, index=frame.index).astype(dtype)
    x = fit("v + C(v)", frame).matrix(frame)
    np.testing.assert_array_equal(x[:, 1], np.arange(N) % 2)
    np.testing.assert_array_equal(x[:, 2], np.arange(N) % 2)
    assert x.dtype == np.float64
    assert x.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_text_of_every_kind(dtype, frame) -> None:
    frame["v"] = frame.stage.astype(dtype)
    design = fit("v", frame)
    assert design.names == ("Intercept", "v[T.II]", "v[T.III]")
    for other in ("object", "string", "category"):
        table = frame.assign(v=frame.stage.astype(other))
        np.testing.assert_array_equal(design.matrix(table), design.matrix(frame))


def test_levels(frame) -> None:
    assert fit("g", frame).names == ("Intercept", "g[T.v]", "g[T.u]")  # its own order
    assert fit("C(flag)", frame).names == ("Intercept", "C(flag)[T.True]")
    frame["mixed"] = [2 if flag else "b" for flag in frame.flag]
    assert fit("mixed", frame).names == ("Intercept", "mixed[T.b]")
    frame["whole"] = frame.n.astype(float)
    design = fit("C(whole)", frame)
    assert design.names == ("Intercept", "C(whole)[T.2]", "C(whole)[T.3]")
    assert design.matrix(frame.assign(whole=frame.n))[:, 1:].sum() > 0
    frame["cut"] = pd.cut(frame.age, [0, 50, 60, 100])
    design = StructuredDesign.from_state(fit("cut", frame).to_state())
    assert design.names[1] == "cut[T.(50, 60]]"
    np.testing.assert_array_equal(design.matrix(frame)[:, 1], frame.age.between(50, 60))
    numbers = frame.assign(n=frame.n.astype(object))
    assert fit("n", numbers).names == ("Intercept", "n")


def test_a_column_as_a_number_and_as_a_factor(frame) -> None:
    design = fit("n + I(n**2) + C(n, contr.sum)", frame)
    again = StructuredDesign.from_state(design.to_state())
    one = again.matrix(frame.iloc[[4]])
    np.testing.assert_array_equal(one, design.matrix(frame)[[4]])
    assert design.names[-1] == "C(n, contr.sum)[S.2]"
    with pytest.raises(UnseenLevelError, match="'row0'"):
        design.matrix(frame.assign(n=9))


def test_unseen_level(frame) -> None:
    design = fit("age + C(stage)", frame)
    new = frame.copy()
    new.loc[["row3", "row8"], "stage"] = "IV"
    with pytest.raises(UnseenLevelError) as caught:
        design.matrix(new)
    message = str(caught.value)
    for part in ("'stage'", "'IV'", "'row3'", "2 rows", "'I', 'II', 'III'"):
        assert part in message
    with pytest.raises(UnseenLevelError, match="'x'"):
        fit("g", frame).matrix(frame.assign(g="x"))  # a category that no row had
    with pytest.raises(UnseenLevelError, match="'III'"):
        fit("C(stage, levels=['I', 'II'])", frame)


@pytest.mark.parametrize(
    ("column", "formula"),
    [("age", "age"), ("age", "np.log(age)"), ("stage", "C(stage)"), ("g", "g")],
)
@pytest.mark.parametrize("value", [None, np.nan, pd.NA])
def test_missing_values(column, formula, value, frame) -> None:
    design = fit(formula, frame)
    if frame[column].dtype == float and value is pd.NA:
        frame[column] = frame[column].astype("Float64")
    frame.loc[["row2", "row5"], column] = value
    message = f"column '{column}' of .* has 2 missing values, the first in row 'row2'"
    for call in (design.matrix, lambda f: fit(formula, f)):
        with pytest.raises(DataError, match=message):
            call(frame)


def test_infinite_values(frame) -> None:
    frame.loc["row6", "age"] = -np.inf
    with pytest.raises(DataError, match=r"'age' of age has 1 infinite value.*'row6'"):
        fit("age + bmi", frame)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("np.log(age - 50)", r"np.log\(age - 50\) is not finite in row 'row"),
        ("np.sqrt(age - 60):bmi", r"np.sqrt\(age - 60\) is not finite in row 'row"),
        ("I(bmi / (n - 2))", r"is not finite in row 'row1'"),
        ("np.exp(age * 100)", "is not finite in row 'row0'"),
    ],
)
def test_functions_out_of_their_domain(formula, message, frame) -> None:
    frame.loc["row0", ["age", "bmi"]] = [77.0, 30.0]
    with pytest.raises(DataError, match=message):
        fit(formula, frame)


def test_a_transform_that_fails_is_named(frame) -> None:
    with pytest.raises(DataError, match=r"poly\(stage, 2\) needs numbers.*'stage'"):
        fit("poly(stage, 2)", frame)
    with pytest.raises(DataError, match=r"bs\(age, df=1\) cannot be computed .*'age'"):
        fit("bs(age, df=1)", frame)
    design = fit("bs(age, df=5)", frame)
    with pytest.raises(DataError, match=r"bs\(age, df=5\) cannot be computed"):
        design.matrix(frame.assign(age=0.0))


def test_unknown_column(frame) -> None:
    with pytest.raises(ColumnError, match=r"'agee', which is not.*Did you mean 'age'"):
        fit("agee + bmi", frame)
    with pytest.raises(ColumnError, match=r"'satge'.*Did you mean 'stage'"):
        fit("C(satge)", frame)
    design = fit("age + bmi", frame)
    with pytest.raises(ColumnError, match="'bmi'"):
        design.matrix(frame.drop(columns="bmi"))
    twice = pd.concat([frame, frame[["age"]]], axis=1)
    with pytest.raises(DataError, match="2 columns named 'age'"):
        design.matrix(twice)


@pytest.mark.parametrize(
    ("formula", "changed", "message"),
    [
        ("age + bmi", {"bmi": 3.0}, "bmi is constant.*'bmi', is 3 in every row"),
        ("C(stage)", {"stage": "I"}, "'stage' of C.stage. has one level only, 'I'"),
        ("g", {"g": "u"}, "'g' of g has one level only"),
        ("I(age - age)", {}, "constant.*'age', is 0"),
        ("flag", {"flag": True}, "flag is constant"),
    ],
)
def test_constant_columns(formula, changed, message, frame) -> None:
    with pytest.raises(DataError, match=message):
        fit(formula, frame.assign(**changed))


def test_an_intercept_of_one_s_own(frame) -> None:
    assert fit("0 + one", frame.assign(one=1.0)).names == ("one",)
    with pytest.raises(DataError, match="one is constant"):
        fit("0 + one", frame.assign(one=1.0), intercept=False)


def test_cells_that_no_factor_can_have(frame) -> None:
    frame["cell"] = [np.zeros(2)] * N
    for formula in ("cell", "C(cell)"):
        with pytest.raises(DataError, match=r"'cell' of .* cannot be a factor"):
            fit(formula, frame)
    frame["when"] = pd.Timestamp("2020-01-01")
    with pytest.raises(DataError, match="'when' of when cannot be a factor"):
        fit("when", frame)


def test_two_sets_of_levels(frame) -> None:
    formula = "C(n, levels=[1, 2, 3]):age + C(n, levels=[3, 2, 1])"
    with pytest.raises(FormulaError, match="two sets of levels"):
        fit(formula, frame)


def test_several_linear_terms_are_one_formula(frame) -> None:
    terms = (Linear("age"), Linear("-1 + C(stage)"))
    design = StructuredDesign.fit(terms, frame)
    assert design.names == fit("age + C(stage) - 1", frame).names


def test_nothing_global_is_touched(frame) -> None:
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    design = fit("np.exp(`left eye`) + poly(`x.1`, 2)", frame)
    design.matrix(frame)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
