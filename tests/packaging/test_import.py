"""``import semistruct`` is light and leaves everything as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import semistruct

HEAVY = (
    *("captum", "lifelines", "matplotlib", "pycox", "statsmodels", "tokenizers"),
    *("torchvision", "transformers"),
    *("semistruct.plots", "semistruct.vlm"),
)
# what an import may not change: after it each has the value that it had before
STATES = {
    "warning filters": "list(map(str, warnings.filters))",
    "random": "hash(random.getstate())",
    "numpy.random": "numpy.random.get_state()[1].tolist()",
    "numpy errors": "numpy.geterr()",
    "numpy printing": "str(numpy.get_printoptions())",
    "torch random": "torch.get_rng_state().tolist()",
    "torch threads": "torch.get_num_threads()",
    "torch interop threads": "torch.get_num_interop_threads()",
    "torch default dtype": "str(torch.get_default_dtype())",
    "torch gradients": "torch.is_grad_enabled()",
    "torch determinism": "torch.are_deterministic_algorithms_enabled()",
    "torch matmul": "torch.get_float32_matmul_precision()",
    "torch cuda": "torch.cuda.is_initialized()",
    "torch sharing": "torch.multiprocessing.get_sharing_strategy()",
    "start method": "multiprocessing.get_start_method(allow_none=True)",
    "pandas options": "str(pandas.options.mode.copy_on_write)",
    "sklearn config": "str(sklearn.get_config())",
    "environment": "dict(os.environ)",
    "folder": "os.getcwd()",
    "path": "list(sys.path)",
    "Ctrl-C": "signal.getsignal(signal.SIGINT) is signal.default_int_handler",
    "except hook": "sys.excepthook is sys.__excepthook__",
    "root logger": "[logging.root.level, len(logging.root.handlers)]",
    "locale": "locale.setlocale(locale.LC_ALL)",
    "recursion": "sys.getrecursionlimit()",
    "threads": "threading.active_count()",
}
PROBE = """
import json, locale, logging, multiprocessing, os, random, signal, sys, threading
import warnings
import formulaic, numpy, pandas, sklearn, torch
import torch.utils.data, scipy.stats, sklearn.utils.estimator_checks  # theirs, not ours
states = json.loads(sys.argv[1])
before = {name: eval(code) for name, code in states.items()}
import semistruct
after = {name: eval(code) for name, code in states.items()}
changed = {name: [before[name], after[name]] for name in states
           if before[name] != after[name]}
loggers = {
    name: [type(h).__name__ for h in logger.handlers] + [logger.level, logger.propagate]
    for name, logger in logging.root.manager.loggerDict.items()
    if name.startswith("semistruct") and isinstance(logger, logging.Logger)
}
print(json.dumps([changed, loggers]))
"""


def fresh(code, *arguments, flags=()):
    done = subprocess.run(
        [sys.executable, *flags, "-c", code, *arguments],
        env={k: v for k, v in os.environ.items() if k != "PYTHONWARNINGS"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def probe():
    return json.loads(fresh(PROBE, json.dumps(STATES)).stdout)


def test_the_heavy_ones_are_imported_where_they_are_used():
    code = f"import sys, semistruct; print([n for n in {HEAVY!r} if n in sys.modules])"
    assert fresh(code).stdout.strip() == "[]"


def test_it_prints_nothing_and_warns_of_nothing():
    done = fresh("import semistruct", flags=["-W", "error"])
    assert done.stdout == ""
    assert done.stderr == ""


def test_nothing_global_is_changed(probe):
    changed, _ = probe
    assert not changed


def test_the_only_logger_is_the_packages_and_it_writes_nowhere(probe):
    _, loggers = probe
    assert set(loggers) <= {"semistruct"}
    for *handlers, level, propagate in loggers.values():
        assert set(handlers) <= {"NullHandler"}
        assert level == 0
        assert propagate


@pytest.mark.parametrize("name", sorted(semistruct._LAZY))
def test_lazy_names_come_when_they_are_used(name):
    code = (
        f"import sys, semistruct; assert 'matplotlib' not in sys.modules\n"
        f"assert semistruct.{name} is not None and '{name}' in dir(semistruct)"
    )
    fresh(code)
