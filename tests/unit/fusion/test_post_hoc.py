from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from semistruct.design import StructuredDesign, parse_formula
from semistruct.exceptions import DataError
from semistruct.fusion import (
    apply_projection,
    penalised_projection,
    post_hoc,
    smoothing_of,
)


def columns(n=300, p=4, seed=0):
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    return X, X @ rng.normal(size=p) + rng.normal(size=n), rng.random(n) + 0.1, rng


def test_it_is_the_formula() -> None:
    X, zeta, w, _ = columns()
    moved = post_hoc(X, zeta, w)
    gram = np.linalg.inv(X.T @ np.diag(w) @ X)  # literally
    delta = gram @ X.T @ np.diag(w) @ zeta
    np.testing.assert_allclose(moved.coef, delta, rtol=1e-10)
    np.testing.assert_allclose(moved.remainder, zeta - X @ delta, atol=1e-10)


@pytest.mark.parametrize("smooth", [False, True])
def test_predictions_do_not_change(smooth) -> None:
    frame, zeta, design = planted()
    X = design.matrix(frame)
    beta = np.random.default_rng(1).normal(size=X.shape[1])
    moved = post_hoc(X, zeta, penalties=design.penalties if smooth else ())
    before, after = X @ beta + zeta, X @ (beta + moved.coef) + moved.remainder
    np.testing.assert_allclose(after, before, atol=1e-10)
    assert np.abs(moved.coef).max() > 0.01


def planted(n=500, seed=0):
    """A network that says sin(2πx), and something that x does not know."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.random(n), "z": rng.normal(size=n)})
    design = StructuredDesign.fit(parse_formula("z + s(x, k=10)"), frame)
    return frame, np.sin(2 * np.pi * frame["x"]) + rng.normal(0, 0.3, n), design


def test_a_planted_smooth_moves_into_the_smooth() -> None:
    frame, zeta, design = planted()
    X = design.matrix(frame)
    moved = post_hoc(X, zeta, penalties=design.penalties)
    at = next(b for b in design.blocks if b.label == "s(x)")
    own = X[:, at.start : at.stop] @ moved.coef[at.start : at.stop]
    truth = np.sin(2 * np.pi * frame["x"])
    truth -= truth.mean()
    assert np.corrcoef(own, truth)[0, 1] > 0.995
    assert abs(own.std() / truth.std() - 1) < 0.1
    rest = np.corrcoef(moved.remainder, truth)[0, 1]
    assert abs(rest) < 0.1
    assert np.corrcoef(zeta, truth)[0, 1] > 0.9  # where it was before


def test_the_penalty_is_that_of_a_slow_transcription() -> None:
    frame, zeta, design = planted()
    X, w = design.matrix(frame), np.random.default_rng(2).uniform(0.5, 3, len(frame))
    penalty = replace(design.penalties[0], sp=7.0)
    moved = post_hoc(X, zeta, w, [penalty])
    S = np.zeros((X.shape[1],) * 2)
    S[penalty.start : penalty.stop, penalty.start : penalty.stop] = 7 * penalty.matrix
    expected = np.linalg.solve(X.T @ (w[:, None] * X) + S, X.T @ (w * zeta))
    np.testing.assert_allclose(moved.coef, expected, rtol=1e-7, atol=1e-9)
    assert moved.sp.tolist() == [7.0]


def test_the_unit_of_the_contribution_and_of_the_metric_do_not_matter() -> None:
    frame, zeta, design = planted()
    X, S = design.matrix(frame), design.penalties
    w = np.random.default_rng(2).uniform(0.5, 3, len(frame))
    one, big = post_hoc(X, zeta, w, S), post_hoc(X, 1e4 * zeta, 50.0 * w, S)
    np.testing.assert_allclose(big.coef, 1e4 * one.coef, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(big.sp, 50.0 * one.sp, rtol=1e-3)


def test_dependent_columns_change_the_remainder_by_nothing() -> None:
    frame, zeta, design = planted()
    X = design.matrix(frame)
    wide = np.column_stack([X, X[:, 0], X[:, 1] - X[:, 0], np.zeros(len(X))])
    plain, twice = post_hoc(X, zeta), post_hoc(wide, zeta)
    np.testing.assert_allclose(twice.remainder, plain.remainder, atol=1e-9)
    plain = post_hoc(X, zeta, penalties=design.penalties)
    twice = post_hoc(wide, zeta, penalties=design.penalties)
    np.testing.assert_allclose(twice.remainder, plain.remainder, atol=1e-5)


def test_more_columns_than_rows_take_everything() -> None:
    rng = np.random.default_rng(0)
    moved = post_hoc(rng.normal(size=(5, 8)), rng.normal(size=5))
    assert np.abs(moved.remainder).max() < 1e-10


def test_a_constant_contribution_needs_no_smoothing_parameter() -> None:
    frame, _, design = planted()
    X = design.matrix(frame)
    sp = smoothing_of(X, np.full(len(X), 2.0), None, design.penalties)
    assert sp.tolist() == [1.0]
    moved = post_hoc(X, np.full(len(X), 2.0), penalties=design.penalties)
    np.testing.assert_allclose(moved.remainder, 0.0, atol=1e-10)


def test_the_projection_of_latents_is_that_of_their_contribution() -> None:
    """So that new rows can be predicted from what is stored."""
    frame, zeta, design = planted()
    X, rng = design.matrix(frame), np.random.default_rng(4)
    U = np.column_stack([zeta, rng.normal(size=len(X))])
    penalty = replace(design.penalties[0], sp=3.0)
    A, w = penalised_projection(X, U, None, [penalty]), np.array([2.0, -1.0])
    moved = post_hoc(X, U @ w, None, [penalty])
    np.testing.assert_allclose(A @ w, moved.coef, atol=1e-9)
    np.testing.assert_allclose(
        apply_projection(U, X, A) @ w, moved.remainder, atol=1e-9
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda X, z, w: (X, z[:-1], w), "latent must have the 300 rows"),
        (lambda X, z, w: (X, z[:, None], w), "must be one-dimensional"),
        (lambda X, z, w: (X, z * np.nan, w), "latent has NaN"),
        (lambda X, z, w: (X, z, -w), "negative"),
    ],
)
def test_bad_data_are_named(change, words) -> None:
    with pytest.raises(DataError, match=words):
        post_hoc(*change(*columns()[:3]))
