"""Concordance and integrated Brier score against lifelines, scikit-survival and pycox.

One thread, seconds of CPU time, best of three (one for what takes longer than five).
A peer that is not installed is left out; scikit-survival may lie in an environment of
its own whose interpreter is named by SKSURV_PYTHON, and is then timed there. Peers that
need O(n²) time or memory are given fewer rows. Goals: concordance with its standard
error within 0.15 s for 100,000 rows and 1.5 s for a million, the integrated Brier score
of 100,000 rows at 100 times within 1 s.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

SIZES = (10_000, 100_000, 1_000_000)
TIMES = 100
GOALS = {
    ("concordance", 100_000): 0.15,
    ("concordance", 1_000_000): 1.5,
    ("ibs", 100_000): 1.0,
}
LARGEST = {  # rows; beyond, time or memory is quadratic
    ("concordance", "lifelines"): 1_000_000,
    ("concordance", "scikit-survival"): 10_000,
    ("ibs", "scikit-survival"): 100_000,
    ("ibs", "pycox"): 10_000,
}
MISSED = 2


def data(n):
    import numpy as np

    rng = np.random.default_rng(0)
    risk = rng.normal(size=n)
    life, censor = rng.exponential(np.exp(-risk)), rng.exponential(size=n)
    grid = np.linspace(0.05, 1.5, TIMES)
    return np.minimum(life, censor), life <= censor, risk, grid


def survival(risk, grid):
    import numpy as np

    return np.exp(-np.exp(risk)[:, None] * grid)


def task(kind, tool, n):
    """Give what is to be timed; the data stand ready."""
    import numpy as np

    t, event, risk, grid = data(n)
    if tool == "semistruct":
        from semistruct import Surv, metrics

        y = Surv(t, event)
        if kind == "concordance":
            return lambda: metrics.harrell(y, risk)
        curves = survival(risk, grid)
        return lambda: metrics.integrated_brier_score(y, y, curves, grid)
    if tool == "lifelines":
        from lifelines.utils import concordance_index

        return lambda: concordance_index(t, -risk, event)
    if tool == "scikit-survival":
        from sksurv import metrics
        from sksurv.util import Surv

        if kind == "concordance":
            return lambda: metrics.concordance_index_censored(event, t, risk)
        y, curves = Surv.from_arrays(event, t), survival(risk, grid)
        return lambda: metrics.integrated_brier_score(y, y, curves, grid)
    import pandas as pd
    from pycox.evaluation import EvalSurv

    curves = np.vstack([np.ones(n), survival(risk, grid).T])
    frame = pd.DataFrame(curves, index=np.r_[0.0, grid])
    return lambda: EvalSurv(frame, t, event, censor_surv="km").brier_score(grid)


def measure(kind, tool, n):
    call = task(kind, tool, n)
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
        if best > 5:
            break
    print(json.dumps(best))


def run(kind, tool, n):
    """Time in a fresh interpreter; None where the tool is not there."""
    named = os.environ.get("SKSURV_PYTHON", sys.executable)
    python = named if tool == "scikit-survival" else sys.executable
    one = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    answer = subprocess.run(
        [python, "-W", "ignore", __file__, kind, tool, str(n)],
        capture_output=True,
        text=True,
        env={**os.environ, **one},
    )
    if answer.returncode and "ModuleNotFoundError" in answer.stderr:
        return None
    if answer.returncode:
        sys.exit(answer.stderr)
    return json.loads(answer.stdout.splitlines()[-1])


def main():
    print("| measure | n | tool | seconds | × semistruct | goal |")
    print("|---|---|---|---|---|---|")
    good = True
    for kind in ("concordance", "ibs"):
        for n in SIZES[: 3 if kind == "concordance" else 2]:
            ours = run(kind, "semistruct", n)
            goal = GOALS.get((kind, n))
            good &= goal is None or ours <= goal
            word = "" if goal is None else f"<= {goal:g} s"
            print(f"| {kind} | {n} | semistruct | {ours:.3f} | 1 | {word} |")
            for (what, tool), largest in LARGEST.items():
                if what != kind or n > largest:
                    continue
                found = run(kind, tool, n)
                if found is not None:
                    ratio = found / ours
                    print(f"| {kind} | {n} | {tool} | {found:.3f} | {ratio:.1f} | |")
    return 0 if good else MISSED


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main())
