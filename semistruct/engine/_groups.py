"""Which parameters are trained how: patterns of names, layers, optimisers."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from semistruct._core.validation import check_bool, check_choice, check_number, suggest
from semistruct.exceptions import ParameterError

_PARALLEL = ("encoders", "heads")  # beside each other, though they stand in a list

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}


@dataclass(frozen=True)
class ParameterGroups:
    """Rates, shrinkage and optimisers of parts of the parameters, by name.

    A name is as ``objective.named_parameters()`` gives it, and a leading ``network.``
    may be left out; ``*`` stands for anything. The first pattern that fits counts.

    Parameters
    ----------
    learning_rates : dict of str to float, default={}
        Learning rate, > 0, by pattern; the others have that of `Training`.
    optimizers : dict of str to str, default={}
        Name of an optimiser by pattern; the others have that of `Training`.
    layer_decay : float, default=1.0
        Factor in (0, 1] by which the rate falls from a layer to the one below it. A
        layer is a module with parameters of its own, in order of registration; the
        modules of a ``ModuleDict``, and those under ``encoders`` and ``heads``, stand
        beside each other.
    decay_vectors : bool, default=True
        Whether ``weight_decay`` reaches parameters of less than two axes (biases,
        normalisation).

    Examples
    --------
    >>> from semistruct.engine import ParameterGroups, Training
    >>> groups = ParameterGroups({"encoders.*": 1e-4}, decay_vectors=False)
    >>> Training(groups=groups).groups.learning_rates
    {'encoders.*': 0.0001}
    """

    learning_rates: Mapping[str, float] = field(default_factory=dict)
    optimizers: Mapping[str, str] = field(default_factory=dict)
    layer_decay: float = 1.0
    decay_vectors: bool = True

    def check(self, owner: str = "ParameterGroups") -> None:
        """Check the options.

        Parameters
        ----------
        owner : str, default="ParameterGroups"
            Who is named in messages.
        """
        for name in ("learning_rates", "optimizers"):
            if not isinstance(getattr(self, name), Mapping):
                raise ParameterError(
                    parameter=name,
                    owner=owner,
                    allowed="a dict by pattern of parameter names",
                    given=getattr(self, name),
                )
        for pattern, rate in self.learning_rates.items():
            check_number(
                rate,
                parameter=f"learning_rates[{pattern!r}]",
                owner=owner,
                low=0.0,
                closed="neither",
            )
        for pattern, name in self.optimizers.items():
            where = f"optimizers[{pattern!r}]"
            check_choice(name, OPTIMIZERS, parameter=where, owner=owner)
        check_number(
            self.layer_decay,
            parameter="layer_decay",
            owner=owner,
            low=0.0,
            high=1.0,
            closed="right",
        )
        check_bool(self.decay_vectors, parameter="decay_vectors", owner=owner)

    def to_state(self) -> dict[str, Any]:
        """Give the options as JSON types.

        Returns
        -------
        dict of str to object
        """
        return asdict(self)


def make_optimizers(
    objective: nn.Module,
    *,
    optimizer: str,
    learning_rate: float,
    weight_decay: float,
    groups: ParameterGroups | None,
) -> list[torch.optim.Optimizer]:
    """Make the optimisers of all parameters that are to be trained.

    An objective may ask for its own: a method ``optimizers()`` that gives a dict of
    names of optimisers by pattern, as `ParameterGroups.optimizers`, which come first.
    """
    named = {n: p for n, p in objective.named_parameters() if p.requires_grad}
    asked = getattr(objective, "optimizers", None)
    if groups is None and asked is None:
        options = {"lr": float(learning_rate), "weight_decay": float(weight_decay)}
        made = OPTIMIZERS[optimizer](list(named.values()), **options, fused=True)
        return [made]
    groups = ParameterGroups() if groups is None else groups
    kinds = {**({} if asked is None else asked()), **groups.optimizers}
    names = list(dict(objective.named_parameters()))
    for parameter, table in (
        ("learning_rates", groups.learning_rates),
        ("optimizers", kinds),
    ):
        for pattern in table:
            select(pattern, names, parameter=parameter, owner="ParameterGroups")
    heights = layer_heights(objective)
    packs: dict[str, dict[tuple[float, float], list[nn.Parameter]]] = {}
    for name, p in named.items():
        rate = _first(groups.learning_rates, name, float(learning_rate))
        rate *= groups.layer_decay ** heights[name.rpartition(".")[0]]
        shrink = float(weight_decay) if groups.decay_vectors or p.ndim > 1 else 0.0
        pack = packs.setdefault(_first(kinds, name, optimizer), {})
        pack.setdefault((rate, shrink), []).append(p)
    return [
        OPTIMIZERS[kind](
            [
                {"params": ps, "lr": rate, "weight_decay": shrink}
                for (rate, shrink), ps in pack.items()
            ],
            lr=float(learning_rate),
            fused=True,
        )
        for kind, pack in packs.items()
    ]


def select(
    pattern: str, names: Sequence[str], *, parameter: str, owner: str
) -> list[str]:
    """Give the names that a pattern fits; ParameterError when there are none."""
    found = [name for name in names if fits(pattern, name)]
    if not found:
        short = [name.removeprefix("network.") for name in names]
        raise ParameterError(
            parameter=parameter,
            owner=owner,
            allowed="patterns that fit the name of a parameter",
            given=pattern,
            hint=f"Names are {', '.join(short[:6])}{', …' if len(short) > 6 else ''}."
            + suggest(pattern, short),
        )
    return found


def fits(pattern: str, name: str) -> bool:
    """Whether a pattern fits a name, with or without its leading ``network.``."""
    short = name.removeprefix("network.")
    return any(fnmatch.fnmatchcase(n, pattern) for n in (name, short))


def layer_heights(objective: nn.Module) -> dict[str, int]:
    """Give how many layers lie above each module that has parameters, by its name."""
    heights: dict[str, int] = {}

    def walk(module: nn.Module, name: str, above: int) -> int:
        """Enter the layers of a module; give how many there are, with those above."""
        children = list(module.named_children())
        side_by_side = isinstance(module, nn.ModuleDict) or (
            isinstance(module, nn.ModuleList) and name.rpartition(".")[2] in _PARALLEL
        )
        top = above
        for key, child in reversed(children):
            whole = f"{name}.{key}" if name else key
            ends = walk(child, whole, above if side_by_side else top)
            top = max(top, ends)
        if any(True for _ in module.parameters(recurse=False)):
            heights[name] = top
            top += 1
        return top

    walk(objective, "", 0)
    return heights


def _first(table: Mapping[str, Any], name: str, default: Any) -> Any:
    found: Iterable[Any] = (v for pattern, v in table.items() if fits(pattern, name))
    return next(iter(found), default)
