"""Every basis against mgcv: terms, edf, ranks and extrapolation at given λ."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semistruct._core.terms import Smooth
from semistruct.design import StructuredDesign, parse_formula

HERE = Path(__file__).parent
TABLES = HERE.parents[1] / "references"
REFERENCE = json.loads((HERE / "mgcv_bases.json").read_text())
GAM = json.loads((TABLES / "gam.json").read_text())["gam"]
REGIONS = list(REFERENCE["neighbours"])


def table(name: str) -> pd.DataFrame:
    if name in ("columb", "half"):
        frame = pd.DataFrame(REFERENCE["columb"])
        left_out = REGIONS[30:34] if name == "half" else []
        return frame[~frame.district.isin(left_out)]
    frame = pd.read_csv(TABLES / "data" / f"{name}.csv")
    return (
        frame.assign(g=np.where(frame.age > 0, "a", "b")) if "age" in frame else frame
    )


def solve(terms, frame, response, given):
    """Penalised least squares by QR: design, coefficients, hat matrix of them."""
    design = StructuredDesign.fit(terms, frame)
    x, y = design.matrix(frame), frame[response].to_numpy(float)
    rows = [x]
    for sp, penalty in zip(np.atleast_1d(given), design.penalties, strict=True):
        values, vectors = np.linalg.eigh(penalty.matrix)
        values[: len(values) - penalty.rank] = 0.0
        root = np.zeros((len(values), x.shape[1]))
        root[:, penalty.start : penalty.stop] = (
            np.sqrt(sp * values)[:, None] * vectors.T
        )
        rows.append(root)
    q, r = np.linalg.qr(np.vstack(rows))
    q = q[: len(x)]
    return design, np.linalg.solve(r, q.T @ y), np.linalg.solve(r, q.T @ x)


def near(actual, expected, tolerance: float = 1e-7) -> None:
    expected = np.asarray(expected, dtype=float)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


def compare(reference, terms) -> None:
    frame = table(reference["data"])
    design, coef, influence = solve(
        terms, frame, reference["response"], reference["sp"]
    )
    assert design.n_coefficients == reference["coefficients"]
    assert [p.rank for p in design.penalties] == reference["rank"]
    first = design.matrix(frame.iloc[:8])
    near(first @ coef, reference["linear_predictor"])
    blocks = [b for b in design.blocks if b.kind != "intercept"]
    parts = [first[:, b.start : b.stop] @ coef[b.start : b.stop] for b in blocks]
    near(np.column_stack(parts), reference["terms"])
    edf = [
        np.trace(influence[b.start : b.stop, b.start : b.stop])
        for b in blocks
        if b.kind != "parametric"
    ]
    near(edf, np.atleast_1d(reference["edf"]))
    if "beyond" in reference:
        beyond = pd.DataFrame(reference["beyond"])
        near(design.matrix(beyond) @ coef, reference["beyond_linear_predictor"])


@pytest.mark.parametrize(
    "reference", REFERENCE["fits"], ids=lambda r: r["formula"].replace(" ", "")
)
def test_numeric_bases_are_mgcv_s(reference) -> None:
    compare(reference, parse_formula(reference["formula"]))


@pytest.mark.parametrize("reference", REFERENCE["mrf"], ids=lambda r: r["data"])
def test_markov_fields_are_mgcv_s(reference) -> None:
    linear = parse_formula("income" if "income" in reference["formula"] else "1")
    field = Smooth("district", bs="mrf", neighbours=REFERENCE["neighbours"])
    compare(reference, (*linear, field))


@pytest.mark.parametrize(("index", "bs"), [(0, "ps"), (1, "cr"), (2, "tp")])
def test_mcycle_with_the_sp_that_mgcv_estimated(index, bs) -> None:
    reference = GAM[index]
    assert f'bs="{bs}"' in reference["call"]
    frame = table("mcycle")
    terms = (Smooth("times", k=20, bs=bs),)
    design, coef, influence = solve(terms, frame, "accel", reference["sp"])
    first = design.matrix(frame.iloc[:8])
    near(first[:, 1:] @ coef[1:], np.ravel(reference["first_rows_terms"]), 1e-6)
    near(first @ coef, np.ravel(reference["first_rows_linear_predictor"]), 1e-6)
    near(np.trace(influence), reference["edf_total"], 1e-6)
