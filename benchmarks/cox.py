"""Cox regression with 10 covariates against lifelines and statsmodels.

Each fit runs in an interpreter of its own, on one thread, from the covariates to
coefficients with standard errors, ties by Efron. Seconds are CPU seconds, the best of
three (one for the peers); peak memory is that of the process, of which "before" was
there before the fit: the imports and the data. ``fit_cox`` is the solver alone,
``SemiStructuredSurvival`` reads a DataFrame and estimates the baseline hazard and the
censoring too, as lifelines' ``CoxPHFitter`` does; statsmodels' ``PHReg`` has arrays and
no baseline. Ratios are the tool's time over that of ``SemiStructuredSurvival``. The
last column but one is the greatest distance of coefficients from those of ``fit_cox``,
in standard errors. Goals of ours: 0.5 s at 100,000 rows, 3 s and 700 MB at a million.

    python benchmarks/cox.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

COVARIATES = 10
SIZES = {10_000: (None, None), 100_000: (0.5, None), 1_000_000: (3.0, 700e6)}
OURS = ("SemiStructuredSurvival", "fit_cox")
LARGEST = {"lifelines": 1_000_000, "statsmodels": 100_000}  # rows that a peer can bear
PATIENCE = 200  # seconds for one fit
REPEATS = 3
MISSED = 2


def make(n):
    """Give covariates (n, 10), times and events, always the same."""
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, COVARIATES))
    eta = x @ np.linspace(-0.5, 0.5, COVARIATES)
    life, censor = rng.exponential(np.exp(-eta)), 1.5 * rng.exponential(size=n)
    return x, np.minimum(life, censor), life <= censor


def frame(x):
    import pandas as pd

    return pd.DataFrame(x, columns=[f"x{i}" for i in range(COVARIATES)], copy=False)


def prepare(tool, x, t, event):
    """Give what is to be timed, which returns coefficients and standard errors."""
    import numpy as np

    if tool == "fit_cox":
        from semistruct.solvers import fit_cox

        def call():
            fit = fit_cox(x, t, event)
            return fit.coef, np.sqrt(np.diag(fit.cov))

    elif tool == "SemiStructuredSurvival":
        import semistruct as ss

        table, y = frame(x), ss.Surv(t, event)
        formula = " + ".join(table.columns)

        def call():
            fit = ss.SemiStructuredSurvival(formula).fit(table, y).exact_
            return fit.coef, np.sqrt(np.diag(fit.cov))

    elif tool == "lifelines":
        from lifelines import CoxPHFitter

        table = frame(x).assign(time=t, event=event)

        def call():
            fit = CoxPHFitter().fit(table, "time", "event")
            return fit.params_.to_numpy(), fit.standard_errors_.to_numpy()

    else:
        from statsmodels.duration.hazard_regression import PHReg

        def call():
            fit = PHReg(t, x, event.astype(float), ties="efron").fit()
            return fit.params, fit.bse

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


def goal_of(row, seconds, memory):
    """Say what the goal is, and whether it was missed."""
    words = [] if seconds is None else [f"≤ {seconds:g} s"]
    words += [] if memory is None else [f"≤ {memory / 1e6:.0f} MB"]
    late = seconds is not None and row["seconds"] > seconds
    large = memory is not None and row["peak"] > memory
    failed = [name for name, bad in (("time", late), ("memory", large)) if bad]
    return ", ".join(words) + (f" ({' and '.join(failed)} missed)" if failed else "")


def distance(row, reference):
    """Greatest difference of coefficients in standard errors."""
    if reference is None:
        return ""
    pairs = zip(row["coef"], reference["coef"], reference["error"], strict=True)
    return f"{max(abs(a - b) / se for a, b, se in pairs):.0e}"


def main():
    missed = False
    print("| rows | tool | CPU s | ratio | before MB | peak MB | distance | goal |")
    print("|---|---|---|---|---|---|---|---|")
    for n, (seconds, memory) in SIZES.items():
        tools = [*OURS, *(tool for tool, most in LARGEST.items() if n <= most)]
        rows = {}
        for tool in tools:
            found = [run(tool, n) for _ in range(REPEATS if tool in OURS else 1)]
            rows[tool] = min(found, key=lambda each: each.get("seconds", 1e9))
        mine = rows[OURS[0]].get("seconds")
        reference = rows["fit_cox"] if "coef" in rows["fit_cox"] else None
        for tool, row in rows.items():
            if "absent" in row:
                print(f"| {n} | {tool} | {row['absent']} | | | | | |", flush=True)
                missed |= tool in OURS
                continue
            goal = goal_of(row, seconds, memory) if tool in OURS else ""
            missed |= goal.endswith("missed)")
            ratio = f"{row['seconds'] / mine:.1f}" if mine else ""
            print(
                f"| {n} | {tool} | {row['seconds']:.2f} | {ratio} | "
                f"{row['before'] / 1e6:.0f} | {row['peak'] / 1e6:.0f} | "
                f"{distance(row, reference)} | {goal} |",
                flush=True,
            )
    return MISSED if missed else 0


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        sys.exit(main())
