"""Side conditions of a tensor product beside lower smooths."""

import numpy as np
import pandas as pd
import pytest

import semistruct as ss
from semistruct.design import StructuredDesign, parse_formula
from semistruct.design._side import dependent_columns

RNG = np.random.default_rng(0)
N = 200
TABLE = pd.DataFrame(
    {
        "x": RNG.uniform(size=N),
        "z": RNG.uniform(size=N),
        "g": RNG.choice(["a", "b"], size=N),
    }
)


def fitted(formula, **options):
    return StructuredDesign.fit(parse_formula(formula), TABLE, **options)


@pytest.mark.parametrize(
    ("formula", "dropped"),
    [
        ("s(x) + s(z) + te(x, z)", 6),  # the cubic polynomials of x and of z
        ("s(x, bs='cr') + te(x, z, bs='cr')", 1),  # x itself
        ("s(x, k=5) + te(x, z)", 4),  # the same spline
        ("te(x, z) + s(x, k=5)", 4),  # wherever it stands
        ("s(x, k=5, by=g) + te(x, z, by=g)", 8),  # in each level
        ("te(x, z)", 0),
        ("s(x) + ti(x, z)", 0),
    ],
)
def test_columns_are_dropped_and_the_span_is_kept(formula, dropped):
    design = fitted(formula)
    matrix = design.matrix(TABLE)
    assert np.linalg.matrix_rank(matrix) == matrix.shape[1]
    terms = parse_formula(formula)
    alone = [StructuredDesign.fit([term], TABLE).matrix(TABLE) for term in terms]
    whole = np.hstack([alone[0], *(each[:, 1:] for each in alone[1:])])
    assert whole.shape[1] - matrix.shape[1] == dropped
    assert np.linalg.matrix_rank(whole) == matrix.shape[1]
    for penalty in design.penalties:
        assert np.linalg.matrix_rank(penalty.matrix) == penalty.rank
        assert penalty.matrix.shape[0] == penalty.stop - penalty.start


def test_it_is_saved_and_evaluated_on_new_rows():
    design = fitted("s(x) + te(x, z)")
    again = StructuredDesign.from_state(design.to_state())
    np.testing.assert_array_equal(again.matrix(TABLE[:5]), design.matrix(TABLE[:5]))
    assert [p.rank for p in again.penalties] == [p.rank for p in design.penalties]


def test_binned_covariates_agree():
    y = np.sin(6 * TABLE["x"]) * TABLE["z"] + RNG.normal(size=N) * 0.1
    exact = ss.GAM("s(x) + s(z) + te(x, z)").fit(TABLE, y)
    binned = ss.GAM("s(x) + s(z) + te(x, z)", max_bins=2000).fit(TABLE, y)
    np.testing.assert_allclose(binned.predict(TABLE), exact.predict(TABLE), atol=1e-4)


def test_dependent_columns():
    left = np.column_stack([np.ones(N), TABLE["x"]])
    right = np.column_stack([TABLE["x"], TABLE["z"], TABLE["z"] + 2 * TABLE["x"]])
    found = dependent_columns(left, right)
    assert len(found) == 2
    assert 0 in found
    assert not len(dependent_columns(left, right[:, 1:2]))
    assert len(dependent_columns(np.zeros((N, 1)), np.eye(N)[:, :3])) == 0


def test_weights_of_the_design_are_repetitions():
    times = RNG.integers(0, 4, size=N)
    times[[TABLE["x"].idxmin(), TABLE["x"].idxmax()]] = 1  # the same range
    formula = "s(x, by=g) + s(x, bs='cr') + ti(x, z)"
    repeated = TABLE.loc[np.repeat(np.arange(N), times)].reset_index(drop=True)
    one = StructuredDesign.fit(parse_formula("s(x, by=g)"), repeated).matrix(TABLE)
    other = fitted("s(x, by=g)", weight=times.astype(float)).matrix(TABLE)
    np.testing.assert_allclose(other, one, atol=1e-10)
    plain = fitted(formula).matrix(TABLE)
    same = fitted(formula, weight=np.full(N, 2.0)).matrix(TABLE)
    np.testing.assert_allclose(same, plain, atol=1e-10)
