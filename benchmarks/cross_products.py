"""X'WX of an intercept and 4 × ps(20): discretised covariates against dense BLAS.

Each case runs in an interpreter of its own, on one thread. Seconds are CPU seconds, the
best of five for products; memory is the peak of the process, and in brackets what it
rose by from the point where the table of covariates stood there (the interpreter with
its libraries is the rest). Goal: the discretised design of a million rows is built and
multiplied within 1 GB in all, and its products cost less than the dense ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

ROWS = (100_000, 1_000_000)
KINDS = ("numpy", "DenseDesign", "DiscreteDesign")
REPEATS = 5
GIGABYTE = 1e9


def peak():
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure(kind, n):
    """Build one design in this process and time its products."""
    import time

    import numpy as np
    import pandas as pd

    from semistruct.design import (
        DenseDesign,
        DiscreteDesign,
        StructuredDesign,
        parse_formula,
    )

    def seconds(call, repeats=REPEATS):
        best = float("inf")
        for _ in range(repeats):
            start = time.process_time()
            call()
            best = min(best, time.process_time() - start)
        return best

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.uniform(size=(n, 4)), columns=list("abcd"))
    weight = rng.uniform(0.5, 1.5, n)
    base = peak()
    terms = parse_formula(" + ".join(f"s({c}, k=20)" for c in "abcd"))
    start = time.process_time()
    design = StructuredDesign.fit(terms, frame)
    fitted = time.process_time()
    if kind == "DiscreteDesign":
        x = DiscreteDesign.from_design(design, frame)
    else:
        x = design.matrix(frame)
        x = DenseDesign(x) if kind == "DenseDesign" else x
    built = time.process_time()
    beta = rng.normal(size=design.n_coefficients)
    middle = np.eye(len(beta))
    if kind == "numpy":
        calls = {
            "gram": lambda: x.T @ x,
            "weighted": lambda: (x * weight[:, None]).T @ x,
            "dot": lambda: x @ beta,
            "transpose": lambda: x.T @ weight,
            "quadratic": lambda: ((x @ middle) * x).sum(axis=1),
        }
    else:
        calls = {
            "gram": x.gram,
            "weighted": lambda: x.gram(weight),
            "dot": lambda: x.dot(beta),
            "transpose": lambda: x.transpose_dot(weight),
            "quadratic": lambda: x.row_quadratic(middle),
        }
    result = {name: seconds(call) for name, call in calls.items()}
    result |= {"fit": fitted - start, "build": built - fitted}
    result |= {"peak": peak(), "rise": peak() - base}
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
    columns = ("fit", "build", "gram", "weighted", "dot", "transpose", "quadratic")
    print(
        "| n | design | fit terms | build | X'X | X'WX | Xβ | X'v | diag XVX' | peak |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    good = True
    for n in ROWS:
        results = {kind: run(kind, n) for kind in KINDS}
        for kind, found in results.items():
            cells = " | ".join(f"{found[name]:.4f}" for name in columns)
            memory = f"{found['peak'] / 1e6:.0f} MB (+{found['rise'] / 1e6:.0f})"
            print(f"| {n} | {kind} | {cells} | {memory} |")
        fast = results["DiscreteDesign"]
        for kind in KINDS[:-1]:
            ratios = " | ".join(
                f"{results[kind][name] / fast[name]:.1f}" for name in columns
            )
            memory = f"{results[kind]['peak'] / fast['peak']:.1f}"
            print(f"| {n} | {kind} / DiscreteDesign | {ratios} | {memory} |")
        good &= fast["weighted"] < results["numpy"]["weighted"]
        good &= fast["peak"] < GIGABYTE
    return int(not good)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        sys.exit(main())
