"""Reference numbers and fits that several tests share."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semistruct.design import StructuredDesign, parse_formula
from semistruct.families import get_family
from semistruct.solvers import fit_glm

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "references" / "data"


@pytest.fixture(scope="session")
def reference():
    """Numbers of inference.json, which make_reference.R writes."""
    return json.loads((HERE / "inference.json").read_text())


@cache
def read(name):
    frame = pd.read_csv(DATA / f"{name}.csv")
    if name == "sleepstudy":
        frame["Subject"] = frame["Subject"].astype(str)
    if name == "airquality":
        frame = frame[["Ozone", "Solar.R", "Wind", "Temp"]].dropna()
    return frame.reset_index(drop=True)


@pytest.fixture(scope="session")
def table():
    return read


@pytest.fixture(scope="session")
def fit_frame():
    """Fit a formula by the exact path: (design, matrix, fit)."""

    def fit(frame, formula, target, family="gaussian"):
        design = StructuredDesign.fit(parse_formula(formula), frame)
        x = design.matrix(frame)
        y = np.asarray(frame[target], dtype=float)
        fitted = fit_glm([x], y, get_family(family), penalties=[design.penalties])
        return design, x, fitted

    return fit


@pytest.fixture(scope="session")
def air(fit_frame):
    formula = "s('Solar.R', k=10) + s(Wind, k=10) + s(Temp, k=10)"
    return fit_frame(read("airquality"), formula, "Ozone")
