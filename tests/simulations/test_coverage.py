"""Bands of smooths cover as often as they say; the test of a null term has its size.

The simulation is benchmarks/simulate_coverage.py; its table is in docs/simulations.md.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "simulate_coverage.py"


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_replicate(simulation):
    found = simulation.replicate(0)
    assert all(0 <= found[label] <= 1 for label in simulation.WRITTEN)
    assert 0 <= found["p"] <= 1
    assert found["edf s(x2)"] > found["edf s(x0)"] > 1


@pytest.mark.slow
def test_coverage_and_size(simulation):
    table, size = simulation.simulate()
    print(f"\n{simulation.markdown(table, size, simulation.REPLICATES)}")
    low, high = simulation.TERM_GOAL
    terms = table["coverage"].drop("linear predictor")
    assert terms.between(low, high).all()
    low, high = simulation.PREDICTOR_GOAL
    assert low <= table.loc["linear predictor", "coverage"] <= high
    low, high = simulation.SIZE_GOAL
    assert low <= size <= high
    assert simulation.misses(table, size) == []
