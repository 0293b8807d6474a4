"""The rule for ``random_state``; the global states of NumPy, torch, Python are kept."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semistruct._core.randomness import generator, spawn
from semistruct.exceptions import ParameterError


@given(st.integers(0, 2**70), st.integers(0, 20))
def test_an_int_gives_the_same_seeds_each_time(seed, n):
    seeds = spawn(seed, n)
    assert seeds == spawn(seed, n)
    assert len(seeds) == n
    assert all(type(s) is int and 0 <= s < 2**32 for s in seeds)


def test_an_int_is_numpys_seed_sequence():
    expected = np.random.SeedSequence(7).generate_state(3).tolist()
    assert spawn(7, 3) == expected
    assert spawn(np.int64(7), 3) == expected


def test_more_seeds_begin_with_the_same_ones():
    assert spawn(0, 5)[:2] == spawn(0, 2)


def test_neighbouring_ints_are_unrelated():
    seeds = [s for seed in range(200) for s in spawn(seed, 5)]
    assert len(set(seeds)) > 0.999 * len(seeds)


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_a_generator_is_advanced(make):
    state = make(3)
    first, second = spawn(state, 4), spawn(state, 4)
    assert first != second
    again = make(3)
    assert [spawn(again, 4), spawn(again, 4)] == [first, second]
    assert all(type(s) is int and 0 <= s < 2**32 for s in first + second)


def test_none_is_fresh_each_time():
    np.random.seed(0)  # noqa: NPY002
    first = spawn(None, 4)
    np.random.seed(0)  # noqa: NPY002
    assert spawn(None, 4) != first


@pytest.mark.parametrize("given_", [-1, 1.0, "0", np.random, [1]])
def test_anything_else_is_an_error(given_):
    with pytest.raises(ParameterError, match=r"'random_state' .* None, an int >= 0"):
        spawn(given_, 1)


@pytest.mark.parametrize("state", [None, 0, np.random.RandomState(0)])
def test_generator(state):
    drawn = generator(state).normal(size=100)
    assert np.std(drawn) > 0.5


def test_generator_of_an_int_is_reproducible():
    assert generator(5).normal() == generator(5).normal()
    assert generator(5).normal() != generator(6).normal()


def test_global_states_are_untouched():
    before = (
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        torch.get_rng_state().tolist(),
    )
    for state in (None, 1, np.random.default_rng(0), np.random.RandomState(0)):
        spawn(state, 3)
        generator(state)
    after = (
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        torch.get_rng_state().tolist(),
    )
    assert before == after
