"""What every vision-language system must do."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
import torch

from semistruct.engine import TensorSource, Training, train
from semistruct.exceptions import ParameterError
from semistruct.vlm import (
    SYSTEMS,
    ConvTower,
    Facts,
    PatchTower,
    TextTower,
    config_from_state,
    config_to_state,
    get_system,
)
from semistruct.vlm.components import AtRest, EmaTeacher

EACH = pytest.mark.parametrize("name", list(SYSTEMS))
N, FACTS = 8, Facts(image=(2, 8, 8), vocabulary=12, length=6)


def smallest(name: str) -> Any:
    """Give the smallest configuration of a system."""
    kind = SYSTEMS[name].Config
    config = kind()
    towers: dict[str, Any] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, ConvTower):
            towers[field.name] = ConvTower(dim=8, width=4, depth=1)
        elif isinstance(value, PatchTower):
            towers[field.name] = PatchTower(8, 2, 2, patch=2, pool=value.pool)
        elif isinstance(value, TextTower):
            towers[field.name] = TextTower(dim=8, depth=2, heads=2)
    small = {"hidden": 8, "dim": 8, "prototypes": 5, "decoder_dim": 8}
    known = {field.name for field in fields(config)}
    return replace(config, **towers, **{k: v for k, v in small.items() if k in known})


def build(name: str, seed: int = 0) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SYSTEMS[name].build(smallest(name), FACTS)


def batch(name: str, n: int = N, seed: int = 1) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    text = torch.randint(1, 12, (n, 6), generator=g)
    text[::2, 4:] = 0  # padding
    rows = {
        "image": torch.randn(n, 2, 8, 8, generator=g),
        "text": text,
        "label": torch.arange(n) // 2,
    }
    return {key: rows[key] for key in SYSTEMS[name].reads}


def followers(system: torch.nn.Module) -> set[torch.nn.Parameter]:
    """Parameters that follow others, and are not frozen."""
    teachers = [m for m in system.modules() if isinstance(m, EmaTeacher)]
    return {p for teacher in teachers for p in teacher.parameters()}


@EACH
def test_step_is_finite_with_detached_parts(name) -> None:
    system = build(name).train()
    with torch.random.fork_rng():
        loss, parts, n = system.step(batch(name))
    assert loss.shape == ()
    assert loss.isfinite()
    assert loss.requires_grad
    assert parts
    for value in parts.values():
        assert not value.requires_grad
    assert n == N or name == "data2vec_text"  # hidden tokens


@EACH
def test_a_gradient_reaches_every_trainable_parameter(name) -> None:
    system = build(name).train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(2):  # at first some are multiplied by zero
            system.step(batch(name)).loss.backward()
    for key, parameter in system.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None, key
            continue
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@EACH
def test_one_step_lowers_the_loss_of_a_fixed_batch(name) -> None:
    """With the same views and masks, the teacher at rest."""
    system, rows = build(name).eval(), batch(name)
    parameters = [p for p in system.parameters() if p.requires_grad]
    loss = system.step(rows).loss
    gradients = torch.autograd.grad(loss, parameters)
    size = sum(float(g.square().sum()) for g in gradients)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= 1e-3 * gradient / size**0.5
    fall = float(loss.detach() - system.step(rows).loss.detach())
    assert fall == pytest.approx(1e-3 * size**0.5, rel=0.3)  # as the gradient says


@EACH
def test_training_moves_all_but_frozen_weights(name) -> None:
    system, rows = build(name), batch(name)
    following = followers(system)
    frozen = {
        key
        for key, p in system.named_parameters()
        if not p.requires_grad and p not in following
    }
    assert bool(frozen) == any(isinstance(m, AtRest) for m in system.modules())
    before = {k: p.detach().clone() for k, p in system.named_parameters()}
    training = Training(max_epochs=5, batch_size=N, weight_decay=0.0)
    train(system, TensorSource(rows), training=training, seed=0)
    for key, parameter in system.named_parameters():
        assert torch.equal(parameter, before[key]) == (key in frozen), key


@EACH
def test_evaluation_is_repeatable_and_changes_nothing(name) -> None:
    system, rows = build(name), batch(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system.train().step(rows)
    kept = copy.deepcopy(system.state_dict())
    generator = torch.get_rng_state()
    losses = {system.evaluate([rows]) for _ in range(3)}
    assert len(losses) == 1
    assert torch.equal(torch.get_rng_state(), generator)
    for key, value in system.state_dict().items():
        assert torch.equal(value, kept[key]), key


@EACH
def test_saved_weights_and_configuration_give_the_same_system(name) -> None:
    system = build(name)
    kind = SYSTEMS[name]
    state = config_to_state(system.config)
    config = config_from_state(kind.Config, state)
    assert config == system.config
    with torch.random.fork_rng():
        other = kind.build(config, FACTS)
    other.load_state_dict(system.state_dict())
    rows = [batch(name)]
    assert other.evaluate(rows) == system.evaluate(rows)


@EACH
def test_towers_treat_rows_alone(name) -> None:
    system, rows = build(name).eval(), batch(name)
    for entry in ("image", "text"):
        if entry not in rows:
            continue
        tower = system.visual if entry == "image" else system.textual
        with torch.no_grad():
            together = tower(rows[entry])
            alone = torch.cat([tower(row[None]) for row in rows[entry]])
        config = system.config
        size = config.image.features(FACTS) if entry == "image" else config.text.dim
        assert together.shape == (N, size)
        torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)


@EACH
def test_padding_has_no_effect(name) -> None:
    rows = batch(name)
    if "text" not in rows:
        return
    tower = build(name).eval().textual
    short = rows["text"][::2]
    torch.testing.assert_close(tower(short), tower(short[:, :4]))


@EACH
def test_it_runs_in_bf16(name) -> None:
    system, rows = build(name), batch(name)
    training = Training(max_epochs=2, batch_size=N, precision="bf16")
    result = train(system, TensorSource(rows), training=training, seed=0)
    assert all(map(torch.isfinite, map(torch.tensor, result.history[-1].values())))
    for key, parameter in system.named_parameters():
        assert parameter.dtype == torch.float32, key


@EACH
def test_configurations_are_frozen_and_checked(name) -> None:
    config = smallest(name)
    field = fields(config)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(config, field, None)
    with pytest.raises(ParameterError, match="'config'"):
        SYSTEMS[name].build(object(), FACTS)


@EACH
def test_a_system_says_where_it_is_from(name) -> None:
    text = SYSTEMS[name].__doc__ or ""
    assert "doi:10." in text
    assert "Differs" in text
    assert ">>>" in text


def test_an_unknown_system_suggests_a_known_one() -> None:
    with pytest.raises(ParameterError, match="Did you mean 'simclr'"):
        get_system("simcrl")


# -- two processes --------------------------------------------------------------------


def two_steps(name: str, rows: dict[str, torch.Tensor]) -> Any:
    """Train a few steps in as many processes as there are; views are still."""
    system = build(name)
    still = {}
    for field in fields(system.config):
        value = getattr(system.config, field.name)
        if field.name == "views":
            still["views"] = type(value)(0, 0, 0, 0, 0, 0, 0)
    system.config = replace(system.config, **still)
    # masks and what else is drawn: as in evaluation, the same in each process
    generator = torch.Generator
    system.random = lambda device: generator(device).manual_seed(0)
    training = Training(
        max_epochs=2, batch_size=N, optimizer="sgd", learning_rate=0.05, clip_norm=None
    )
    train(system, TensorSource(rows), training=training, seed=0)
    return system.state_dict()


def same_masks() -> None:
    """Let each row have the same mask, whatever its place in a batch."""
    from semistruct.vlm.systems import _data2vec, _data2vec_text, _mae

    def one_for_all(draw: Any) -> Any:
        def drawn(rows: int, *args: Any) -> torch.Tensor:
            return draw(1, *args).expand(rows, -1)

        return drawn

    _mae.random_mask = one_for_all(_mae.random_mask)
    _data2vec.block_mask = one_for_all(_data2vec.block_mask)
    even = torch.arange(6) % 2 == 0
    _data2vec_text.span_mask = lambda present, *_: present & even


def _worker(path: str) -> None:
    same_masks()
    found = {name: two_steps(name, batch(name)) for name in SYSTEMS}
    if os.environ.get("RANK", "0") == "0":
        torch.save(found, path)


@pytest.mark.slow
def test_two_processes_are_one(tmp_path) -> None:
    """Negatives, batch norm, assignments and centres are those of all rows."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    one, two = tmp_path / "one.pt", tmp_path / "two.pt"
    plain = {**os.environ, "OMP_NUM_THREADS": "1"}
    together = {
        **plain,
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    pair = [together | {"RANK": str(r), "LOCAL_RANK": str(r)} for r in range(2)]
    paths = [two, two, one]
    running = [
        subprocess.Popen([sys.executable, __file__, str(path)], env=env)
        for path, env in zip(paths, [*pair, plain], strict=True)
    ]
    assert [process.wait(timeout=200) for process in running] == [0, 0, 0]
    expected = torch.load(one)
    for name, weights in torch.load(two).items():
        start = build(name).state_dict()
        for key, value in weights.items():
            torch.testing.assert_close(
                value,
                expected[name][key],
                atol=2e-5,
                rtol=2e-4,
                msg=lambda text, place=f"{name}: {key}": f"{place}: {text}",
            )
        assert any(not torch.equal(weights[key], start[key]) for key in start)


if __name__ == "__main__":
    _worker(sys.argv[1])
