"""Weibull regression with 10 covariates and a constant scale against lifelines.

Each fit runs in an interpreter of its own, on one thread, from arrays to coefficients
with standard errors; about a third of the rows is censored on the right. Seconds are
CPU seconds, the best of three (one for lifelines); peak memory is that of the process,
of which "before" was there before the fit: the imports and the data. ``shape`` has the
scale as one constant beside the coefficients, ``formula`` as a second predictor with
an intercept: the same maximum, found by Newton's method in all coefficients at once.
Ratios are the tool's time over that of ``shape``. The distance is the greatest one of
coefficients and log scale from those of ``shape``, in standard errors. Goal of ours:
2 s at 100,000 rows.

    python benchmarks/aft.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

COVARIATES = 10
SIZES = {10_000: None, 100_000: 2.0}
OURS = ("shape", "formula")
PATIENCE = 300  # seconds for one fit
REPEATS = 3
MISSED = 2


def make(n):
    """Give covariates (n, 10), times and events, always the same."""
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, COVARIATES))
    loc = 1.0 + x @ np.linspace(-0.5, 0.5, COVARIATES)
    life = np.exp(loc + 0.7 * np.log(rng.exponential(size=n)))
    censor = 5.0 * rng.exponential(size=n)
    return x, np.minimum(life, censor), life <= censor


def prepare(tool, x, t, event):
    """Give what is to be timed: coefficients, log scale last, and standard errors."""
    import numpy as np

    if tool in OURS:
        import semistruct as ss
        from semistruct.families import get_censored
        from semistruct.solvers import fit_glm

        one = np.ones((len(x), 1))
        design, y = np.column_stack([one, x]), ss.Surv(t, event)
        both = tool == "formula"
        family = get_censored("weibull", formulas=["loc", "scale"] if both else ["loc"])

        def call():
            fit = fit_glm([design, one] if both else [design], y, family)
            variance = np.append(np.diag(fit.cov), np.diag(fit.shape_cov))
            return np.append(fit.coef, fit.shapes), np.sqrt(variance)

    else:
        import pandas as pd
        from lifelines import WeibullAFTFitter

        names = [f"x{i}" for i in range(COVARIATES)]
        table = pd.DataFrame(x, columns=names).assign(time=t, event=event)
        order = [("lambda_", name) for name in ["Intercept", *names]]
        order.append(("rho_", "Intercept"))

        def call():
            fit = WeibullAFTFitter().fit(table, "time", "event")
            coef = fit.params_[order].to_numpy().copy()
            coef[-1] *= -1.0  # rho is 1 / scale
            return coef, fit.standard_errors_[order].to_numpy()

    return call


def measure(tool, n):
    """Fit in this process; print seconds, bytes and coefficients."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    prepare(tool, *make(1000))()  # imports are no part of a fit
    call = prepare(tool, *make(n))
    before = peak()
    start = time.process_time()
    coef, error = call()
    used = time.process_time() - start
    found = {"seconds": used, "before": before, "peak": peak()}
    print(json.dumps({**found, "coef": list(coef), "error": list(error)}))


def run(tool, n):
    """Measure in a fresh interpreter on one thread, or say why it cannot be."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", __file__, tool, str(n)],
            capture_output=True,
            text=True,
            env={**os.environ, **one},
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"absent": f"more than {PATIENCE} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["failed"])[-1]
        return {"absent": "killed" if done.returncode < 0 else last[:80]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def distance(row, reference):
    """Greatest difference of coefficients in standard errors."""
    pairs = zip(row["coef"], reference["coef"], reference["error"], strict=True)
    return f"{max(abs(a - b) / se for a, b, se in pairs):.0e}"


def main():
    missed = False
    print("| rows | tool | CPU s | ratio | before MB | peak MB | distance | goal |")
    print("|---|---|---|---|---|---|---|---|")
    for n, goal in SIZES.items():
        rows = {}
        for tool in (*OURS, "lifelines"):
            found = [run(tool, n) for _ in range(REPEATS if tool in OURS else 1)]
            rows[tool] = min(found, key=lambda each: each.get("seconds", 1e9))
        mine = rows[OURS[0]]
        for tool, row in rows.items():
            if "absent" in row:
                print(f"| {n} | {tool} | {row['absent']} | | | | | |", flush=True)
                missed |= tool in OURS
                continue
            known = "coef" in mine
            late = tool in OURS and goal is not None and row["seconds"] > goal
            words = f"≤ {goal:g} s" if tool in OURS and goal is not None else ""
            missed |= late
            ratio = f"{row['seconds'] / mine['seconds']:.1f}" if known else ""
            print(
                f"| {n} | {tool} | {row['seconds']:.2f} | {ratio} | "
                f"{row['before'] / 1e6:.0f} | {row['peak'] / 1e6:.0f} | "
                f"{distance(row, mine) if known else ''} | "
                f"{words}{' (missed)' if late else ''} |",
                flush=True,
            )
    return MISSED if missed else 0


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        sys.exit(main())
