"""Run every benchmark of this folder in turn, print and keep what each prints.

    python benchmarks/run.py [name ...]

Each is a script of its own that prints a Markdown table; what it prints goes into
``benchmarks/results/<name>.md``, with the versions and the number of cores. A script
may end with status 2 where its goal is missed; the others run all the same, and a
script that fails in another way leaves its last results as they were.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

MISSED = 2
HERE = Path(__file__).resolve().parent
VERSIONS = ("torch", "numpy", "scipy", "pandas", "scikit-learn", "formulaic")


def scripts(names):
    found = sorted(p for p in HERE.glob("[!_]*.py") if p.stem != Path(__file__).stem)
    missing = set(names) - {p.stem for p in found}
    if missing:
        known = ", ".join(p.stem for p in found)
        sys.exit(f"No benchmark {', '.join(sorted(missing))}; there are {known}.")
    return [p for p in found if not names or p.stem in names]


def setting():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in VERSIONS)
    return (
        f"{date.today()}, {cores or os.cpu_count()} cores, "
        f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}, "
        f"{platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}."
    )


def run(script):
    """Run a script in a fresh interpreter; give its output and its exit status."""
    print(f"\n# {script.stem}\n", flush=True)
    lines = []
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return "".join(lines).strip(), process.returncode


def write(script, output):
    is_markdown = any(line.startswith("|") for line in output.splitlines())
    body = output if is_markdown else f"```\n{output}\n```"
    summary = script.read_text(encoding="utf-8").split('"""')[1].strip()
    summary = summary.splitlines()[0]
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / f"{script.stem}.md").write_text(
        f"# {script.stem}\n\n{summary}\n\n{body}\n\n{setting()}\n", encoding="utf-8"
    )


def main(names):
    missed, failed = [], []
    for script in scripts(names):
        output, status = run(script)
        if status in (0, MISSED):
            write(script, output)
        if status:
            (missed if status == MISSED else failed).append(script.stem)
    for words, stems in (("goal missed", missed), ("failed", failed)):
        if stems:
            print(f"\n{words}: {', '.join(stems)}", file=sys.stderr)
    return int(bool(missed or failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
