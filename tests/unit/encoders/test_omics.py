from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from torch import nn

from semistruct.encoders import (
    SNN,
    Autoencoder,
    Pathway,
    build_encoder,
    encoder_from_state,
    encoder_to_state,
)
from semistruct.encoders._pathway import Grouped
from semistruct.exceptions import ParameterError

GENES = tuple(f"g{j}" for j in range(6))
GROUPS = {"repair": ["g0", "g3"], "growth": ["g3", "g1", "g5"], "lone": ["g2"]}
MASK = np.array([[1, 0, 0, 1, 0, 0], [0, 1, 0, 1, 0, 1], [0, 0, 1, 0, 0, 0]])


def pathway(groups=None, **options) -> nn.Module:
    encoder = Pathway(GROUPS if groups is None else groups, **options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_encoder(encoder, (6,), facts={"columns": GENES})[0].eval()


def dense_of(layer: Grouped) -> nn.Linear:
    """A full linear layer with the same weights on the edges and 0 elsewhere."""
    dense = nn.Linear(6, 3)
    with torch.no_grad():
        dense.weight.zero_()
        dense.weight[layer.unit, layer.column] = layer.weight
        dense.bias.copy_(layer.bias)
    return dense


def test_it_equals_a_full_layer_with_a_mask() -> None:
    layer = pathway().layer
    dense = dense_of(layer)
    assert np.array_equal((dense.weight != 0).numpy(), MASK == 1)
    x = torch.randn(
        8, 6, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    z = x.detach().clone().requires_grad_()
    weight = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(layer(x), dense(z))
    (layer(x) * weight).sum().backward()
    (dense(z) * weight).sum().backward()
    torch.testing.assert_close(x.grad, z.grad)
    torch.testing.assert_close(layer.bias.grad, dense.bias.grad)
    edges = dense.weight.grad[layer.unit, layer.column]
    torch.testing.assert_close(layer.weight.grad, edges)
    assert layer.weight.shape == (MASK.sum(),)


def test_outside_of_the_edges_nothing_flows() -> None:
    module = pathway()
    for g in range(3):
        x = torch.randn(4, 6, requires_grad=True)
        module.pathways(x)[:, g].sum().backward()
        assert np.array_equal((x.grad != 0).numpy(), np.tile(MASK[g] == 1, (4, 1)))
    x = torch.randn(4, 6, requires_grad=True)
    module(x).sum().backward()
    assert (x.grad[:, 4] == 0).all()  # a gene in no group


def test_a_table_of_zeros_and_ones_is_the_same() -> None:
    mask = pd.DataFrame(MASK.T, index=GENES, columns=list(GROUPS))
    for table in (mask, mask.astype(bool), mask.sample(frac=1, random_state=0)):
        module = pathway(table)
        assert module.groups == tuple(GROUPS)
        edges = torch.zeros(3, 6)
        edges[module.layer.unit, module.layer.column] = 1
        assert np.array_equal(edges.numpy(), MASK)


def test_order_and_repetition_in_a_group_do_not_matter() -> None:
    doubled = {name: [*genes, *genes] for name, genes in GROUPS.items()}
    x = torch.randn(3, 6)
    torch.testing.assert_close(pathway(doubled)(x), pathway()(x))


def test_names_and_units_can_be_read() -> None:
    module = pathway()
    assert module.groups == ("repair", "growth", "lone")
    h = module.pathways(torch.randn(5, 6))
    assert h.shape == (5, 3)
    assert h.abs().max() < 1


def test_unknown_genes_are_named_or_dropped() -> None:
    groups = {**GROUPS, "repair": ["g0", "g33", "brca1"]}
    message = r"'groups' of Pathway.*'g33'.*2 names are no columns. Did you mean 'g3'"
    with pytest.raises(ParameterError, match=message):
        pathway(groups)
    module = pathway(groups, unknown="drop")
    assert module.layer.column[module.layer.unit == 0].tolist() == [0]
    with pytest.raises(ParameterError, match=r"\['lost'\]. 1 groups have none"):
        pathway({**groups, "lost": ["x"]}, unknown="drop")


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (None, "a dict from the name of a group"),
        ([["g0"]], "a dict from the name of a group"),
        ({}, "There is no group"),
        ({"repair": []}, "group 'repair' is empty"),
        ({"repair": "g0"}, "See the group 'repair'"),
        ({"repair": 3}, "See the group 'repair'"),
        (pd.DataFrame({"repair": [0.5]}, index=["g0"]), "holds something else"),
        (pd.DataFrame({"repair": ["x"]}, index=["g0"]), "holds something else"),
        (pd.DataFrame({"repair": [0]}, index=["g0"]), "group 'repair' is empty"),
    ],
)
def test_bad_groups_are_named(groups, words) -> None:
    with pytest.raises(ParameterError, match=rf"(?s)'groups' of Pathway.*{words}"):
        Pathway(groups).build((6,), columns=GENES)


def test_the_columns_are_needed() -> None:
    with pytest.raises(ParameterError, match=r"'columns' of Pathway.*names of the 6"):
        build_encoder(Pathway(GROUPS), (6,))
    with pytest.raises(ParameterError, match="'columns' of Pathway"):
        Pathway(GROUPS).build((6,), columns=GENES[:2])
    with pytest.raises(ParameterError, match="'unknown' of Pathway"):
        Pathway(GROUPS, unknown="ignore").build((6,), columns=GENES)


@pytest.mark.parametrize(
    "groups",
    [
        GROUPS,
        {name: tuple(genes) for name, genes in GROUPS.items()},
        pd.DataFrame(MASK.T, index=GENES, columns=list(GROUPS)),
    ],
    ids=["lists", "tuples", "table"],
)
def test_groups_survive_a_state(groups) -> None:
    encoder = clone(Pathway(groups, hidden=(8,)))
    state = json.loads(json.dumps(encoder_to_state(encoder)))
    again = encoder_from_state(state)
    x = torch.randn(3, 6)
    first, second = pathway(encoder.groups), pathway(again.groups)
    assert second.groups == first.groups
    torch.testing.assert_close(second(x), first(x))


def test_units_stay_normal_through_many_layers() -> None:
    """Mean 0 and variance 1 at the start, 20 layers deep (Klambauer et al., 2017)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = SNN(hidden=(256,) * 20, dropout=0.05).build((200,))
        h = torch.randn(1000, 200)
        with torch.no_grad():
            for layer in module[:-1]:
                h = layer(h)
                if isinstance(layer, nn.AlphaDropout):
                    assert abs(float(h.mean())) < 0.1
                    assert 0.8 < float(h.var()) < 1.25


def test_weights_of_a_self_normalising_network() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = SNN(hidden=(400,)).build((900,))
    assert module[0].weight.detach().std().item() == pytest.approx(1 / 30, rel=0.02)
    assert (module[0].bias == 0).all()
    assert module[-1].weight.detach().std().item() == pytest.approx(1 / 20, rel=0.05)
    with pytest.raises(ParameterError, match="'hidden' of SNN"):
        SNN(hidden=(0,)).build((3,))


def test_a_decoder_is_the_mirror_image() -> None:
    spec = Autoencoder(hidden=(8, 4), output_dim=2)
    shapes = [m.weight.shape for m in spec.build((6,)) if isinstance(m, nn.Linear)]
    mirrored = [m.weight.shape for m in spec.decoder((6,)) if isinstance(m, nn.Linear)]
    assert shapes == [(8, 6), (4, 8), (2, 4)]
    assert mirrored == [(4, 2), (8, 4), (6, 8)]
    for make in (spec.build, spec.decoder):
        with pytest.raises(ParameterError, match="'input_shape' of Autoencoder"):
            make((6, 2))
    with pytest.raises(ParameterError, match="'hidden' of Autoencoder"):
        Autoencoder(hidden=(1,)).decoder((6,))
