"""te() beside lower smooths: side.json, made by make_side.R with mgcv."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import semistruct as ss

HERE = Path(__file__).parent
FITS = json.loads((HERE / "side.json").read_text())["fits"]


@pytest.mark.parametrize("entry", FITS, ids=[entry["terms"] for entry in FITS])
def test_side_conditions_are_those_of_mgcv(entry):
    table = pd.read_csv(HERE / "data" / f"{entry['data']}.csv").dropna()
    model = ss.GAM(entry["terms"]).fit(table, table[entry["response"]])
    fit = model.exact_
    edf = [
        fit.edf[block.start : block.stop].sum()
        for block in model.predictor_.designs[0].blocks
        if block.kind in ("smooth", "tensor")
    ]
    assert len(fit.coef) == entry["n_coefficients"]
    assert fit.score == pytest.approx(entry["score"], abs=1e-4)
    np.testing.assert_allclose(edf, entry["edf_terms"], atol=5e-3)
    np.testing.assert_allclose(model.predict(table)[:8], entry["fitted"], rtol=2e-3)
    se = model.predict_linear(table)["std err"][:8]
    np.testing.assert_allclose(se, entry["se"], rtol=5e-3)
