from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from semistruct.encoders import CNN, MLP
from semistruct.engine import TensorSource, predict
from semistruct.exceptions import DataError, ParameterError
from semistruct.families import Gaussian
from semistruct.fusion import (
    FUSIONS,
    ConcatFusion,
    CrossAttentionFusion,
    GatedFusion,
    MeanFusion,
)
from semistruct.networks import FusedEncoder, SemiStructuredNetwork, build_fused
from semistruct.objectives import LikelihoodObjective

N, K = 8, 2


def build(how="gated", **options) -> tuple[FusedEncoder, int]:
    torch.manual_seed(0)
    encoders = {"scan": CNN(width=4, output_dim=3), "clinic": MLP((8,), 5, dropout=0.0)}
    return build_fused(encoders, {"scan": (1, 8, 8), "clinic": (4,)}, how, **options)


def network(how="gated", **options) -> SemiStructuredNetwork:
    within = {k: v for k, v in options.items() if k in ("head", "dropout")}
    within["modality_dropout"] = options.get("within", 0.0)
    fused, q = build(how, **within)
    made = SemiStructuredNetwork(
        {"both": fused, "genes": nn.Linear(6, 3)},
        {"both": q, "genes": 3},
        K,
        modality_dropout=options.get("between", 0.0),
    )
    for parameter in made.heads.parameters():
        nn.init.normal_(parameter)
    return made


def batch(**more: torch.Tensor) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    scan, clinic = torch.rand(N, generator=g) < 0.5, torch.rand(N, generator=g) < 0.5
    scan[:2], clinic[:2] = torch.tensor([True, False]), torch.tensor([True, False])
    return {
        "scan": torch.randn(N, 1, 8, 8, generator=g),
        "clinic": torch.randn(N, 4, generator=g),
        "genes": torch.randn(N, 6, generator=g),
        "offset": torch.randn(N, K, generator=g),
        "scan:mask": scan,
        "clinic:mask": clinic,
    } | more


def test_it_is_encoders_then_fusion_then_head() -> None:
    made, data = network(), batch()
    output = made(data)
    fused = made.encoder("both")
    masks = torch.stack([data["scan:mask"], data["clinic:mask"]], dim=1)
    latents = [
        fused.encoder(key)(data[key].masked_fill(~mask.reshape(shape), 0))
        for key, mask, shape in zip(
            ("scan", "clinic"), masks.T, [(-1, 1, 1, 1), (-1, 1)], strict=True
        )
    ]
    u = fused.fusion(latents, masks)
    present = masks.any(dim=1)
    torch.testing.assert_close(output.latents["both"], u)
    d = made.head("both")(u).masked_fill(~present[:, None], 0)
    torch.testing.assert_close(output.contributions["both"], d)
    total = data["offset"] + sum(output.contributions.values())
    torch.testing.assert_close(output.linear_predictor, total)
    found = output.fused["both"]
    assert torch.equal(found.mask, present)
    assert torch.equal(found.present, masks)
    assert torch.equal(found.kept, masks)
    assert list(output.fused) == ["both"]
    for m, (key, latent) in enumerate(found.modalities.items()):
        expected = latents[m].masked_fill(~masks[:, m, None], 0)
        torch.testing.assert_close(latent, expected)
        assert key == ("scan", "clinic")[m]


@pytest.mark.parametrize("how", FUSIONS)
@pytest.mark.parametrize("junk", [math.nan, math.inf, 1e30])
def test_a_missing_modality_has_no_influence_whatever_it_holds(how, junk) -> None:
    made, results, gradients = network(how).eval(), [], []
    for fill in (0.5, junk):
        data = batch()
        for key in ("scan", "clinic"):
            data[key][~data[f"{key}:mask"]] = fill
        made.zero_grad()
        output = made(data)
        output.linear_predictor.square().sum().backward()
        results.append(output.linear_predictor)
        gradients.append([p.grad for p in made.parameters() if p.grad is not None])
    assert torch.equal(*results)
    for one, two in zip(*gradients, strict=True):
        assert torch.equal(one, two)
    none = ~output.fused["both"].mask
    assert none.any()
    assert not output.contributions["both"][none].any()


@pytest.mark.parametrize("how", FUSIONS)
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_row_does_not_depend_on_the_rows_beside_it(how, head) -> None:
    made, data = network(how, head=head, within=0.5, between=0.5).eval(), batch()
    together = made(data)
    order = torch.tensor([3, 0, 7, 4, 2, 1, 6, 5])
    shuffled = made({k: v[order] for k, v in data.items()})
    alone = [made({k: v[i : i + 1] for k, v in data.items()}) for i in range(N)]
    eta = together.linear_predictor
    close = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(shuffled.linear_predictor, eta[order], **close)
    rows = torch.cat([output.linear_predictor for output in alone])
    torch.testing.assert_close(rows, eta, **close)


@pytest.mark.parametrize("how", FUSIONS)
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_gradient_reaches_every_parameter(how, head) -> None:
    options = {"embrace": FUSIONS["embrace"](output_dim=16)}
    made = network(options.get(how, how), head=head)
    made(batch()).linear_predictor.square().sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_a_linear_head_on_a_concatenation_is_additive_and_a_perceptron_is_not() -> None:
    data = batch()
    data["scan:mask"][:] = data["clinic:mask"][:] = True
    hidden = torch.zeros(N, dtype=torch.bool)

    def contribution(made: SemiStructuredNetwork, *keys: str) -> torch.Tensor:
        missing = {f"{k}:mask": hidden for k in ("scan", "clinic") if k not in keys}
        output = made(data | missing)
        return output.latents["both"] @ made.head("both").weight.T

    for head, additive in (("linear", True), ("mlp", False)):
        made = network("concat", head=head).eval()
        both = contribution(made, "scan", "clinic")
        parts = contribution(made, "scan") + contribution(made, "clinic")
        assert torch.allclose(both, parts, atol=1e-5) is additive


def test_the_head_is_a_perceptron_of_any_size() -> None:
    module, q = build("concat", head=MLP(hidden=(12,), output_dim=7))
    assert q == 7
    assert module(batch()).latent.shape == (N, 7)
    assert not module(batch()).latent[1].any()  # no modality: 0 and not its constant
    assert module.top[0].in_features == 8
    for bad in ("lineal", 3, None, CNN()):
        with pytest.raises(ParameterError, match="'head' of build_fused"):
            build(head=bad)


def test_dropout_after_the_fusion_acts_in_training_only() -> None:
    module, _ = build("mean", dropout=0.5)
    data = batch()
    assert not torch.equal(module(data).latent, module(data).latent)
    module.eval()
    assert torch.equal(module(data).latent, module(data).latent)
    plain, _ = build("mean")
    assert torch.equal(plain(data).latent, module(data).latent)


def repeated(n: int) -> dict[str, torch.Tensor]:
    data = {k: v.repeat(n, *(1,) * (v.ndim - 1)) for k, v in batch().items()}
    data["clinic:mask"][:] = data["scan:mask"]  # both or none
    return data


def test_modality_dropout_in_a_fused_term() -> None:
    made, data = network("mean", within={"clinic": 0.5}), repeated(200)
    output = made(data)
    found = output.fused["both"]
    there = found.mask
    assert torch.equal(found.kept[:, 0], found.present[:, 0])
    share = found.kept[there, 1].float().mean()
    assert abs(float(share) - 0.5) < 4.5 * 0.5 / math.sqrt(int(there.sum()))
    # what is dropped is as if it were missing, but its own latent stays readable
    again = made.eval()(data | {"clinic:mask": found.kept[:, 1]})
    torch.testing.assert_close(output.latents["both"], again.latents["both"])
    assert found.modalities["clinic"][there].any(dim=1).all()
    assert torch.equal(made(data).fused["both"].kept, found.present)


def test_modality_dropout_of_whole_terms() -> None:
    made, data = network("mean", between=0.5), repeated(200)
    output = made(data)
    there = output.fused["both"].mask
    left = {k: v.any(dim=1) for k, v in output.contributions.items()}
    # the only term of a row stays; else one, the other or both, by the known law
    assert left["genes"][~there].all()
    assert not left["both"][~there].any()
    pairs = torch.stack([left["both"], left["genes"]], dim=1)[there]
    assert pairs.any(dim=1).all()
    for kept, chance in (([1, 1], 0.25), ([1, 0], 0.375), ([0, 1], 0.375)):
        share = (pairs == torch.tensor(kept).bool()).all(dim=1).float().mean()
        error = math.sqrt(chance * (1 - chance) / len(pairs))
        assert abs(float(share) - chance) < 4.5 * error
    quiet = made.eval()(data)
    for name, value in quiet.contributions.items():
        kept = left[name]
        torch.testing.assert_close(output.contributions[name][kept], value[kept])
        torch.testing.assert_close(output.latents[name], quiet.latents[name])


def test_dropout_changes_no_name_of_a_saved_weight() -> None:
    plain = network()
    other = network(within=0.5, between={"genes": 0.3}, dropout=0.2)
    assert list(plain.state_dict()) == list(other.state_dict())
    other.load_state_dict(plain.state_dict())
    data = batch()
    eta = plain.eval()(data).linear_predictor
    assert torch.equal(other.eval()(data).linear_predictor, eta)
    lone = SemiStructuredNetwork({"x": nn.Linear(2, 2)}, {"x": 2}, 1)
    assert list(lone.state_dict()) == [
        *("scale", "encoders.0.weight", "encoders.0.bias"),
        *("heads.0.weight", "heads.0.bias"),
    ]


def test_rates_by_unknown_names_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"Did you mean 'clinic'") as caught:
        network(within={"clinik": 0.5})
    assert caught.value.owner == "FusedEncoder"
    with pytest.raises(ParameterError, match="modality_dropout") as caught:
        network(between={"scan": 0.5})
    assert caught.value.owner == "SemiStructuredNetwork"
    with pytest.raises(ParameterError, match=r"number in \[0, 1\]"):
        network(between=1.5)


def test_the_attention_of_any_rows_can_be_read() -> None:
    made = network("attention").eval()
    fused = made.encoder("both")
    weights = fused.fusion.weights(*fused.encode(batch()))
    mask = fused(batch()).mask
    torch.testing.assert_close(weights.sum(dim=1), mask.float())


class Words(nn.Module):
    """An encoder that offers tokens: rows (B, T, 2), a word is there if it is not 0."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(2, 3)

    def tokens(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.embed(rows), rows.any(dim=2)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.embed(rows).amax(dim=1)


def test_cross_attention_reads_tokens_where_an_encoder_offers_them() -> None:
    torch.manual_seed(0)
    encoders = {"note": Words(), "scan": nn.Linear(4, 2)}
    note = torch.randn(5, 6, 2)
    note[:, 4:] = 0.0
    data = {"note": note, "scan": torch.randn(5, 4)}
    data["note:mask"] = torch.tensor([True, False, True, True, True])
    cross = FusedEncoder(encoders, CrossAttentionFusion().build([3, 2])).eval()
    output = cross(data)
    (tokens, scan), present = cross.encode(data)
    assert tokens.vectors.shape == (5, 6, 3)
    assert tokens.present.sum(dim=1).tolist() == [4, 0, 4, 4, 4]
    assert torch.equal(output.latent, cross.fusion([tokens, scan], present))
    words = encoders["note"].embed(note[:, :4]).mean(dim=1)
    words[1] = 0.0
    torch.testing.assert_close(output.modalities["note"], words)
    longer = torch.cat([note, torch.zeros(5, 9, 2)], dim=1)  # more padding
    torch.testing.assert_close(cross(data | {"note": longer}).latent, output.latent)
    pooled = FusedEncoder(encoders, MeanFusion().build([3, 2]))(data)
    expected = encoders["note"](note)[0]
    torch.testing.assert_close(pooled.modalities["note"][0], expected)


def test_one_encoder_for_two_modalities() -> None:
    shared = nn.Linear(4, 3)
    module = FusedEncoder({"left": shared, "right": shared}, MeanFusion().build([3, 3]))
    x, y = torch.randn(2, 5, 4)
    expected = shared((x + y) / 2)
    torch.testing.assert_close(module({"left": x, "right": y}).latent, expected)
    assert len(list(module.parameters())) == 2


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ParameterError, match="one module for each of the 2"):
        FusedEncoder({"a": nn.Linear(1, 1)}, MeanFusion().build([1, 1]))
    with pytest.raises(ParameterError, match="dropout"):
        build(dropout=1.0)
    with pytest.raises(ParameterError, match="'shapes' of build_fused"):
        build_fused({"a": MLP(), "b": MLP()}, {"a": (1,)})
    with pytest.raises(ParameterError, match="Did you mean 'gated'"):
        build("gaited")
    wrong = FusedEncoder(
        {"a": nn.Linear(2, 3), "b": nn.Linear(2, 3)}, ConcatFusion().build([3, 4])
    )
    with pytest.raises(DataError, match="modality 1 must have the shape"):
        wrong({"a": torch.ones(2, 2), "b": torch.ones(2, 2)})


def test_specifications_are_built_with_their_options() -> None:
    module, q = build(GatedFusion(output_dim=6, gate="softmax"))
    assert q == module.fusion.output_dim == 6
    given = nn.Linear(4, 5)
    copied, _ = build_fused({"a": given, "b": MLP()}, {"a": (4,), "b": (4,)}, "mean")
    assert copied.encoder("a") is not given


def test_the_engine_predicts_and_the_objective_trains_it() -> None:
    made, data = network(within=0.3, between=0.3), batch()
    whole = predict(made, TensorSource(data))
    parts = predict(made, TensorSource(data), batch_size=3)
    torch.testing.assert_close(whole.linear_predictor, parts.linear_predictor)
    found = parts.fused["both"]
    torch.testing.assert_close(whole.fused["both"].mask, found.mask)
    assert found.modalities["scan"].shape == (N, 3)
    lone, q = build("gated", modality_dropout=0.3)
    term = SemiStructuredNetwork({"both": lone}, {"both": q}, 1)
    objective = LikelihoodObjective(term, Gaussian())
    data = {k: v for k, v in data.items() if k != "offset"} | {"y": torch.randn(N)}
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        objective.step(data).loss.backward()
        optimizer.step()
        losses.append(objective.evaluate([data]))
    assert losses[-1] < 0.7 * losses[0]
