"""One rule for ``random_state``: what seeds None, an int and a generator give.

``None`` draws fresh entropy; an int gives the same numbers each time; a
``numpy.random.Generator`` or ``RandomState`` is advanced by the call, as scikit-learn
does. Global random states are never touched.
"""

from __future__ import annotations

import numbers

import numpy as np

from semistruct.exceptions import ParameterError

__all__ = ["RandomState", "generator", "spawn"]

RandomState = int | np.random.Generator | np.random.RandomState | None


def spawn(random_state: RandomState, n: int) -> list[int]:
    """Draw ``n`` independent seeds in [0, 2**32) from a random state.

    Parameters
    ----------
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Where the randomness comes from.
    n : int
        How many seeds.

    Returns
    -------
    list of int

    Examples
    --------
    >>> from semistruct._core.randomness import spawn
    >>> spawn(0, 2) == spawn(0, 2)
    True
    """
    if isinstance(random_state, np.random.RandomState):
        return [int(s) for s in random_state.randint(0, 2**32, size=n, dtype=np.uint64)]
    if isinstance(random_state, np.random.Generator):
        return [int(s) for s in random_state.integers(0, 2**32, size=n)]
    integral = isinstance(random_state, numbers.Integral)
    if random_state is not None and (not integral or int(random_state) < 0):
        raise ParameterError(
            parameter="random_state",
            owner="the estimator",
            allowed="None, an int >= 0, a numpy Generator or a numpy RandomState",
            given=random_state,
        )
    entropy = None if random_state is None else int(random_state)
    return [int(s) for s in np.random.SeedSequence(entropy).generate_state(n)]


def generator(random_state: RandomState) -> np.random.Generator:
    """Make a numpy Generator from any random state."""
    return np.random.default_rng(spawn(random_state, 1)[0])
