"""Piecewise exponential models: products of rows and times against the long table.

n = 20,000 subjects, 50 intervals, s(time) + x3 + s(x2) + s(time, by=x1), Poisson REML.
Each case runs in an interpreter of its own, on one thread. Seconds are CPU seconds;
memory is the peak of the process, and in brackets what it rose by from the point where
the table of subjects stood there. The peers have the table of long rows: `fit_glm` on
its dense matrix, and statsmodels' Poisson GLM on the same columns without penalties (a
fit with no smoothing parameters to find). Goal: 3 CPU seconds in all, and the same fit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

SUBJECTS = (20_000, 100_000)
CUTS = 50
FORMULA = "s(time) + x3 + s(x2) + s(time, by=x1)"
KINDS = ("PersonPeriodDesign", "dense long table", "statsmodels, no penalties")
GOAL = 3.0


def peak():
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def make(n):
    """Subjects with an effect of x1 that fades and a wave of x2; some censored."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    names = {"x1": rng.normal(size=n), "x2": rng.uniform(size=n)}
    frame = pd.DataFrame(names | {"x3": rng.normal(size=n)})
    cuts = np.linspace(0.2, 10.0, CUTS)
    level = -2.5 + np.sin(2 * np.pi * frame.x2) + 0.3 * frame.x3
    log_hazard = level.to_numpy()[:, None] + 0.1 * cuts
    log_hazard = log_hazard + np.outer(frame.x1, 0.8 * np.exp(-cuts / 4.0))
    total = np.cumsum(np.exp(log_hazard) * 0.2, axis=1)
    total = np.hstack([np.zeros((n, 1)), total])
    goal = rng.exponential(size=n)
    j = np.minimum((total < goal[:, None]).sum(axis=1) - 1, CUTS)
    last = np.minimum(j, CUTS - 1)
    rows = np.arange(n)
    step = (goal - total[rows, last]) / np.exp(log_hazard[rows, last])
    time = np.where(j < CUTS, last * 0.2 + step, 10.0)
    censored = rng.uniform(0, 20, n)
    event = (time < censored) & (j < CUTS)
    return frame, np.maximum(np.minimum(time, censored), 1e-6), event, cuts


def measure(kind, n):
    """Fit one model in this process."""
    import time as clock

    import numpy as np

    from semistruct.design import (
        PersonPeriod,
        PersonPeriodDesign,
        StructuredDesign,
        fit_person_period,
        parse_formula,
    )
    from semistruct.families import Poisson
    from semistruct.solvers import fit_glm

    if kind == KINDS[2]:
        import statsmodels.api as sm

    terms = parse_formula(FORMULA)
    frame, times, event, cuts = make(n)
    base = peak()
    start = clock.process_time()
    long = PersonPeriod.build(times, event, cuts=cuts)
    offset = np.log(long.exposure)
    if kind == KINDS[0]:
        design = fit_person_period(terms, frame, long)
        x = PersonPeriodDesign.from_design(design, frame, long)
    else:
        table = frame.iloc[long.row].assign(time=cuts[long.interval])
        design = StructuredDesign.fit(terms, table)
        x = design.matrix(table)
    built = clock.process_time()
    result = {}
    if kind == KINDS[2]:
        fit = sm.GLM(long.event, x, family=sm.families.Poisson(), offset=offset).fit()
        coef = fit.params
    else:
        fit = fit_glm(
            [x], long.event, Poisson(), penalties=[design.penalties], offset=offset
        )
        coef = fit.coef
        result["score"] = fit.score
    done = clock.process_time()
    result |= {"build": built - start, "fit": done - built, "rows": len(long)}
    result |= {"peak": peak(), "rise": peak() - base, "coef": coef.tolist()}
    print(json.dumps(result))


def run(kind, n):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, __file__, kind, str(n)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    return json.loads(answer.stdout.splitlines()[-1])


def main():
    print("| subjects | long rows | design | build | fit | in all | peak |")
    print("|---|---|---|---|---|---|---|")
    good = True
    for n in SUBJECTS:
        kinds = KINDS if n == SUBJECTS[0] else KINDS[:2]
        results = {kind: run(kind, n) for kind in kinds}
        for kind, found in results.items():
            total = found["build"] + found["fit"]
            cells = f"{found['build']:.2f} | {found['fit']:.2f} | {total:.2f}"
            memory = f"{found['peak'] / 1e6:.0f} MB (+{found['rise'] / 1e6:.0f})"
            print(f"| {n} | {found['rows']} | {kind} | {cells} | {memory} |")
        fast, slow = results[KINDS[0]], results[KINDS[1]]
        for kind in kinds[1:]:
            other = results[kind]
            total = (other["build"] + other["fit"]) / (fast["build"] + fast["fit"])
            ratios = [f"{other[k] / fast[k]:.1f}" for k in ("build", "fit")]
            memory = f"{other['peak'] / fast['peak']:.1f}"
            cells = " | ".join([*ratios, f"{total:.1f}", memory])
            print(f"| {n} | | {kind} / {KINDS[0]} | {cells} |")
        pairs = zip(fast["coef"], slow["coef"], strict=True)
        good &= max(abs(a - b) for a, b in pairs) < 1e-5
        good &= abs(fast["score"] - slow["score"]) < 1e-6 * abs(slow["score"])
        if n == SUBJECTS[0]:
            good &= fast["build"] + fast["fit"] <= GOAL
    return 0 if good else 2


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        sys.exit(main())
