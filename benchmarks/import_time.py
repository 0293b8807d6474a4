"""How long imports take, each in a fresh interpreter: ours and those we build on.

Two tables. The first has every dependency: alone (with all that it imports itself),
and added to torch, pandas, scikit-learn and formulaic, which are there in any case. The
second has ``import semistruct`` against these four, by turns, and what it must not
load. Files are warm (one run of each is thrown away). Milliseconds are of CPU, which
other programs disturb less than the clock. Goal: at most 0.3 s more.

    python benchmarks/import_time.py
"""

from __future__ import annotations

import importlib.metadata
import re
import statistics
import subprocess
import sys

REPEATS, PAIRS = 5, 11
GOAL = 0.3
BASE = ("torch", "pandas", "sklearn", "formulaic")
# distribution → module
DEPENDENCIES = {
    "torch": "torch",
    "scikit-learn": "sklearn",
    "pandas": "pandas",
    "numpy": "numpy",
    "scipy": "scipy",
    "formulaic": "formulaic",
    "statsmodels": "statsmodels.api",
    "lifelines": "lifelines",
    "matplotlib": "matplotlib.pyplot",
    "pillow": "PIL.Image",
    "safetensors": "safetensors.numpy",
    "tqdm": "tqdm",
    "pyarrow": "pyarrow",
    "torchvision": "torchvision",
    "captum": "captum.attr",
    "pycox": "pycox.models",
    "patsy": "patsy",
}
HEAVY = ("captum", "lifelines", "matplotlib", "pycox", "statsmodels.api", "torchvision")


class ImportFailed(RuntimeError):
    pass


def seconds(modules, after=()):
    """Time an import in a fresh interpreter: seconds by the clock, and of CPU."""
    code = "\n".join(
        [
            "import importlib, time",
            f"for name in {tuple(after)!r}: importlib.import_module(name)",
            "wall, cpu = time.perf_counter(), time.process_time()",
            f"for name in {tuple(modules)!r}: importlib.import_module(name)",
            "print(time.perf_counter() - wall, time.process_time() - cpu)",
        ]
    )
    return tuple(map(float, _run(code).split()))


def loaded(module, names):
    """Tell which of some modules an import brings in."""
    code = f"import sys, {module}\nprint(*[n for n in {names!r} if n in sys.modules])"
    return _run(code).split()


def _run(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ImportFailed(done.stderr.strip().splitlines()[-1])
    return done.stdout


def licence(distribution):
    """Read the licence off the installed metadata."""
    data = importlib.metadata.metadata(distribution)
    if data.get("License-Expression"):
        return data["License-Expression"]
    text = data.get("License") or ""
    if 0 < len(text) <= 40 and "\n" not in text:
        return text
    found = [c for c in data.get_all("Classifier") or [] if c.startswith("License")]
    return ", ".join(c.split(" :: ")[-1] for c in found) or "not in its metadata"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in lines)


def milliseconds(module, after=()):
    runs = [seconds([module], after)[1] for _ in range(REPEATS)]
    return f"{1e3 * statistics.median(runs):.0f}"


def dependency_rows():
    for distribution, module in DEPENDENCIES.items():
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            yield [distribution, module, "not installed", "", "", ""]
            continue
        try:
            seconds([module])
        except ImportFailed as error:
            reason = re.sub(r"\s+", " ", str(error)).split(":")[0]
            times = [f"fails: {reason}", ""]
        else:
            times = [milliseconds(module), ""]
            if module not in BASE:
                times[1] = milliseconds(module, after=BASE)
        yield [distribution, module, version, *times, licence(distribution)]


def runs_by_turns():
    """Time ours, the four, and ours after the four, by turns; give PAIRS of each."""
    ways = {"ours": (["semistruct"],), "base": (BASE,), "after": (["semistruct"], BASE)}
    found = {name: [] for name in ways}
    for name in ways:
        seconds(*ways[name])
    for i in range(PAIRS):
        for name in ways if i % 2 == 0 else reversed(ways):
            found[name].append(seconds(*ways[name]))
    return found


def summary(runs, clock):
    """Give the medians; ratio and difference are those of the pairs."""
    times = {name: [run[clock] for run in found] for name, found in runs.items()}
    pairs = list(zip(times["ours"], times["base"], strict=True))
    return {name: statistics.median(found) for name, found in times.items()} | {
        "ratio": statistics.median(a / b for a, b in pairs),
        "difference": statistics.median(a - b for a, b in pairs),
    }


def main():
    header = ["package", "module", "version", "ms alone", "ms added", "licence"]
    print(table(header, dependency_rows()), end="\n\n")
    runs = runs_by_turns()
    by_clock, by_cpu = (summary(runs, clock) for clock in (0, 1))
    four = f"`import {', '.join(BASE)}`"
    names = {
        "ours": "`import semistruct`, s",
        "base": f"{four}, s",
        "ratio": "ratio",
        "difference": "difference, s",
        "after": "`import semistruct` after the four, s",
    }
    goals = {"difference": f"≤ +{GOAL}"}
    rows = [
        [name, f"{by_clock[key]:.2f}", f"{by_cpu[key]:.2f}", goals.get(key, "")]
        for key, name in names.items()
    ]
    heavy = loaded("semistruct", HEAVY)
    rows.append(["heavy modules loaded", ", ".join(heavy) or "none", "", "none"])
    print(table([f"median of {PAIRS}", "by the clock", "of CPU", "goal"], rows))
    return 2 if by_clock["difference"] > GOAL or heavy else 0


if __name__ == "__main__":
    sys.exit(main())
