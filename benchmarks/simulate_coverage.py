"""Coverage of 95 % bands of smooths, and size of the test of one that is nothing.

    python benchmarks/simulate_coverage.py [replicates]

The terms of Gu & Wahba (1991, doi:10.1137/0912021), uniform covariates, normal errors.
Each band is estimate ± 1.96 SE with the Bayesian covariance Vb; its coverage is the
share of the rows at which it holds the centred truth (Nychka 1988,
doi:10.1080/01621459.1988.10478711). With as many replicates as the table on the page
has, the page ``docs/simulations.md`` is written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

import semistruct as ss

OTHERS = "\n<!-- other simulations -->\n"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "simulations.md"
TERMS = "s(x0, k=20) + s(x1, k=20) + s(x2, k=20) + s(x3, k=20)"
N, SIGMA, REPLICATES = 400, 2.0, 300
TERM_GOAL, PREDICTOR_GOAL, SIZE_GOAL = (0.93, 0.985), (0.935, 0.965), (0.02, 0.09)

FUNCTIONS = {
    "s(x0)": lambda x: 2 * np.sin(np.pi * x),
    "s(x1)": lambda x: np.exp(2 * x),
    "s(x2)": lambda x: (
        0.2 * x**11 * (10 * (1 - x)) ** 6 + 10 * (10 * x) ** 3 * (1 - x) ** 10
    ),
    "s(x3)": np.zeros_like,
}
WRITTEN = {
    "s(x0)": "2 sin πx",
    "s(x1)": "e^{2x}",
    "s(x2)": "0.2 x¹¹ (10(1 − x))⁶ + 10 (10x)³ (1 − x)¹⁰",
    "s(x3)": "0",
    "linear predictor": "their sum",
}


def replicate(seed: int) -> dict[str, float]:
    """Share of the rows covered, edf of each term, p-value of the null one."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.uniform(size=(N, 4)), columns=["x0", "x1", "x2", "x3"])
    truth = {
        label: f(X[f"x{j}"].to_numpy())
        for j, (label, f) in enumerate(FUNCTIONS.items())
    }
    eta = np.sum(list(truth.values()), axis=0)
    model = ss.GAM(TERMS).fit(X, eta + rng.normal(0, SIGMA, N))
    terms, errors = model.predict_terms(X), model.predict_terms(X, se=True)
    smooths = model.summary().smooths
    z = stats.norm.ppf(0.975)
    out = {"p": float(smooths.loc["s(x3)", "p-value"])}
    for label, f in truth.items():
        miss = np.abs(terms[label] - (f - f.mean()))
        out[label] = float((miss <= z * errors[label]).mean())
        out[f"edf {label}"] = float(smooths.loc[label, "edf"])
    (design,) = model.predictor_.matrices(X)
    se = np.sqrt(np.einsum("ij,ij->i", design @ model.exact_.cov, design))
    out["linear predictor"] = float((np.abs(model.predict(X) - eta) <= z * se).mean())
    return out


def simulate(replicates: int = REPLICATES) -> tuple[pd.DataFrame, float]:
    """Give coverage with its Monte Carlo error and mean edf by term, and the size."""
    draws = pd.DataFrame([replicate(seed) for seed in range(replicates)])
    labels = [*FUNCTIONS, "linear predictor"]
    table = pd.DataFrame(
        {
            "truth": pd.Series(WRITTEN),
            "mean edf": draws.filter(like="edf").mean().rename(lambda c: c[4:]),
            "coverage": draws[labels].mean(),
            "± (Monte Carlo SE)": draws[labels].std() / np.sqrt(replicates),
        }
    ).loc[labels]
    table["goal"] = [TERM_GOAL] * 4 + [PREDICTOR_GOAL]
    return table, float((draws["p"] < 0.05).mean())


def markdown(table: pd.DataFrame, size: float, replicates: int) -> str:
    """Write the table as Markdown."""
    lines = [
        "| term | truth | mean edf | coverage | Monte Carlo SE | goal |",
        "|---|---|---|---|---|---|",
    ]
    for label, (truth, edf, coverage, error, goal) in zip(
        table.index, table.itertuples(index=False), strict=True
    ):
        df = "" if np.isnan(edf) else f"{edf:.2f}"
        span = f"{goal[0]:g} to {goal[1]:g}"
        lines.append(
            f"| {label} | {truth} | {df} | {coverage:.4f} | {error:.4f} | {span} |"
        )
    error = np.sqrt(size * (1 - size) / replicates)
    span = f"{SIZE_GOAL[0]:g} to {SIZE_GOAL[1]:g}"
    lines.append(f"| s(x3): p < .05 | 0 | | {size:.4f} | {error:.4f} | {span} |")
    return "\n".join(lines)


def main(replicates: int = REPLICATES) -> int:
    table, size = simulate(replicates)
    text = markdown(table, size, replicates)
    print(text)
    if replicates == REPLICATES:
        # what other sections say stays
        rest = PAGE.read_text(encoding="utf-8").partition(OTHERS)[2]
        PAGE.write_text(f"{HEAD}{text}\n{OTHERS}{rest}", encoding="utf-8")
    return 0 if not misses(table, size) else 2


def misses(table: pd.DataFrame, size: float) -> list[str]:
    """Name what is outside its goal."""
    goals = zip(table.index, table["coverage"], table["goal"], strict=True)
    out = [label for label, value, (low, high) in goals if not low <= value <= high]
    return out if SIZE_GOAL[0] <= size <= SIZE_GOAL[1] else [*out, "size"]


HEAD = f"""# Simulations

What follows is written by scripts in `benchmarks/`; the slow tests check the same
numbers.

## Coverage of the bands of smooths

`benchmarks/simulate_coverage.py`, checked by `tests/simulations/test_coverage.py`.

y = f₀(x₀) + f₁(x₁) + f₂(x₂) + f₃(x₃) + ε, the x_j uniform on (0, 1) and independent,
ε normal with σ = {SIGMA:g}, n = {N}, {REPLICATES} replicates; the functions are those
of Gu & Wahba (1991, doi:10.1137/0912021). Fitted:
`{TERMS}`,
P-splines, smoothing parameters by REML. Each band is estimate ± 1.96 SE with the
Bayesian covariance Vb; it covers a row where it holds the truth there, terms centred
over the rows, and the coverage is the average over rows and replicates. That average
is what such a band promises; at single points it may be above or below. The last row
is the size of the test of f₃ = 0 (Wood 2013, doi:10.1093/biomet/ass048) at .05.

"""


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
