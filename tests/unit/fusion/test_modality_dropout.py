from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from semistruct.exceptions import DataError, ParameterError
from semistruct.fusion import ModalityDropout, drop_modalities


def law(present: tuple[bool, ...], p: list[float]) -> dict[tuple[bool, ...], float]:
    """Probability of each result, by enumeration of what is drawn and what is saved."""
    at = [m for m, there in enumerate(present) if there]
    out: dict[tuple[bool, ...], float] = {}
    for dropped in itertools.product([False, True], repeat=len(at)):
        chance = np.prod(
            [p[m] if d else 1 - p[m] for m, d in zip(at, dropped, strict=True)]
        )
        left = [m for m, d in zip(at, dropped, strict=True) if not d]
        saved = [[m] for m in at] if at and not left else [left]
        for kept in saved:
            key = tuple(m in kept for m in range(len(present)))
            out[key] = out.get(key, 0.0) + chance / len(saved)
    return out


@pytest.mark.parametrize("p", [0.25, [0.25, 0.5, 0.9], [0.0, 1.0, 1.0], 1.0])
@pytest.mark.parametrize(
    "present", list(itertools.product([False, True], repeat=3)), ids=str
)
def test_the_law_is_that_of_the_docstring(present, p) -> None:
    n = 40_000
    masks = torch.tensor([present]).expand(n, 3)
    kept = drop_modalities(masks, p, torch.Generator().manual_seed(0)).numpy()
    expected = law(present, p if isinstance(p, list) else [p] * 3)
    assert sum(expected.values()) == pytest.approx(1.0)
    for key in itertools.product([False, True], repeat=3):
        chance = expected.get(key, 0.0)
        share = (kept == key).all(axis=1).mean()
        assert abs(share - chance) <= 4.5 * np.sqrt(chance * (1 - chance) / n), key


def test_rows_are_drawn_apart_and_by_the_generator() -> None:
    masks = torch.ones(50, 4, dtype=torch.bool)
    one, two, three = (
        drop_modalities(masks, 0.5, torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, three)
    assert len(one.unique(dim=0)) > 5
    assert masks.all()  # what was given is left alone
    before = torch.get_rng_state()
    drop_modalities(masks, 0.5, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_module_acts_in_training_only_and_saves_nothing() -> None:
    masks = torch.ones(100, 2, dtype=torch.bool)
    module = ModalityDropout([0.0, 0.5], 2)
    assert not module.state_dict()
    kept = module(masks)
    assert kept[:, 0].all()
    assert 0 < kept[:, 1].sum() < 100
    assert module.eval()(masks) is masks
    assert ModalityDropout(0.0, 2)(masks) is masks


def test_no_rows() -> None:
    empty = torch.zeros(0, 3, dtype=torch.bool)
    assert drop_modalities(empty, 0.5).shape == (0, 3)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), "0.5", [0.5], [0.5, 2.0], None])
def test_rates_are_checked(p) -> None:
    masks = torch.ones(4, 2, dtype=torch.bool)
    with pytest.raises(ParameterError, match="parameter 'p' of drop_modalities"):
        drop_modalities(masks, p)
    with pytest.raises(ParameterError, match="parameter 'p' of ModalityDropout"):
        ModalityDropout(p, 2)


def test_masks_are_checked() -> None:
    for masks in (torch.ones(4, 2), torch.ones(4, dtype=torch.bool)):
        with pytest.raises(DataError, match="masks must be bool"):
            drop_modalities(masks, 0.5)
