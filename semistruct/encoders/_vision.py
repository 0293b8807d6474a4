"""What the encoders on torchvision's architectures share.

Letters: B rows, C channels, H height, W width, F features.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from semistruct._core.torchvision import import_torchvision
from semistruct.encoders._augment import augmented
from semistruct.encoders._base import Encoder
from semistruct.encoders._weights import (
    fill,
    find_weights,
    resize_positions,
    stem_kernels,
)
from semistruct.exceptions import ParameterError

_POSITIONS = "encoder.pos_embedding"  # torchvision's name
SMALL = 64  # images whose longer side is below it keep their size in the stem


class Parts(NamedTuple):
    """A model of torchvision, taken apart; the stages share its modules.

    Attributes
    ----------
    model : torch.nn.Module
        Takes a state dict.
    name : str
        Torchvision's name of the architecture.
    stem : str
        Name of the first convolution's kernels in the state dict.
    head : str
        What names of the classifier's weights begin with.
    stages : list of torch.nn.Module
        One after the other they map (B, C, H, W) to feature maps or tokens.
    pool : torch.nn.Module
        Maps these to (B, F).
    n_features : int
        F.
    grid : (int, int), optional
        Patches along height and width, where they have position embeddings.
    """

    model: nn.Module
    name: str
    stem: str
    head: str
    stages: list[nn.Module]
    pool: nn.Module
    n_features: int
    grid: tuple[int, int] | None = None


class VisionEncoder(Encoder):
    """An encoder on an architecture of torchvision; abstract.

    A subclass has the parameters ``output_dim``, ``weights``, ``freeze``, ``dropout``
    and ``augment`` and writes `_parts`.
    """

    weights: Any
    freeze: Any
    dropout: float
    augment: Any

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Make a module that maps (B, C, H, W) to (B, output_dim).

        Parameters
        ----------
        input_shape : tuple of three int
            (C, H, W).

        Returns
        -------
        torch.nn.Module
            With ``features`` (B, C, H, W) → (B, F) and a linear ``head``.

        Raises
        ------
        ParameterError
            If a parameter has a value that it may not have.
        DependencyError
            If torchvision is not there.
        """
        owner = type(self).__name__
        self._check_common(self.dropout)
        self._check_rank(input_shape, 3, "(channels, height, width)")
        channels = input_shape[0]
        parts = self._parts(import_torchvision(owner), input_shape)
        frozen = _frozen_stages(self.freeze, len(parts.stages), owner)
        inputs = Inputs(channels)
        if self.weights is not None:
            found = find_weights(self.weights, parts.name, owner)
            state = _adapted(found.state, parts, channels)
            fill(parts.model, state, parts.head, owner)
            inputs.expect(found.mean, found.std)
        network = VisionNet(
            [inputs, *parts.stages],
            parts.pool,
            nn.Linear(parts.n_features, self.output_dim),
            dropout=self.dropout,
            frozen=0 if frozen == 0 else frozen + 1,
        )
        return augmented(network, self.augment)

    @abstractmethod
    def _parts(self, torchvision: ModuleType, input_shape: tuple[int, ...]) -> Parts:
        """Make the untrained model for images of a shape and take it apart."""


class Inputs(nn.Module):
    """Bring images from a column's normalisation to that which weights expect.

    A column of images comes standardised, (x − m) / s for each channel, m and s of the
    training rows. Weights expect (x − μ) / σ. Without `tell` the images pass as they
    are: standardised by their own column, as the weights' were by theirs. After it they
    are brought to exactly (x − μ) / σ. Untrained networks take them as they are.

    Parameters
    ----------
    channels : int
        Number of channels C.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self._expected: tuple[Tensor, Tensor] | None = None
        self.register_buffer("scale", torch.ones(channels, 1, 1))
        self.register_buffer("shift", torch.zeros(channels, 1, 1))

    def expect(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Set μ and σ; their means where the images have another number of channels."""
        pair = torch.tensor([tuple(mean), tuple(std)])  # (2, 3)
        if pair.shape[1] != len(self.scale):
            pair = pair.mean(dim=1, keepdim=True)
        self._expected = (pair[0], pair[1])

    def tell(self, mean: Any, std: Any) -> None:
        """Say the m and s, each (C,), that the images were standardised by."""
        if self._expected is None:
            return
        wanted_mean, wanted_std = self._expected
        own_mean, own_std = torch.as_tensor(mean), torch.as_tensor(std)
        scale = (own_std / wanted_std).float()
        shift = ((own_mean - wanted_mean) / wanted_std).float()
        self.scale.copy_(scale[:, None, None])
        self.shift.copy_(shift[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return images * self.scale + self.shift


class VisionNet(nn.Module):
    """Stages, pooling and a linear head; the first stages may be frozen.

    Parameters
    ----------
    stages : list of torch.nn.Module
        `Inputs` first.
    pool : torch.nn.Module
        Maps the last stage's output to (B, F).
    head : torch.nn.Linear
        Maps (B, F) to (B, q).
    dropout : float
        Share of the F features that are dropped in training.
    frozen : int
        How many of the first stages keep weights and running statistics.
    """

    def __init__(
        self,
        stages: list[nn.Module],
        pool: nn.Module,
        head: nn.Linear,
        *,
        dropout: float,
        frozen: int,
    ) -> None:
        super().__init__()
        self.maps = nn.Sequential(*stages)
        self.pool = pool
        self.dropout = nn.Dropout(dropout)
        self.head = head
        self.n_frozen = frozen
        self.maps[:frozen].requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> VisionNet:
        """Set the mode; frozen stages stay in evaluation mode."""
        super().train(mode)
        self.maps[: self.n_frozen].eval()
        return self

    def features(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, F)."""
        if self.training and len(images) < 2:
            with _running_statistics(self.maps):
                return self.pool(self.maps(images))
        return self.pool(self.maps(images))

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, q)."""
        return self.head(self.dropout(self.features(images)))


class Average(nn.Module):
    """Mean over the places of feature maps."""

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, F, h, w) to (B, F)."""
        return maps.mean((2, 3))


def stem(before: nn.Conv2d, channels: int, *, strided: bool) -> nn.Conv2d:
    """Make the first convolution for another number of channels.

    Its kernels are drawn with the spread of the old ones times √(I / channels), so that
    the spread of its output stays.

    Parameters
    ----------
    before : torch.nn.Conv2d
        First convolution, of I input channels.
    channels : int
        Input channels of the new one.
    strided : bool
        Whether it keeps its stride; otherwise every place is computed.
    """
    after = nn.Conv2d(
        channels,
        before.out_channels,
        kernel_size=before.kernel_size,  # type: ignore[arg-type]
        stride=before.stride if strided else 1,  # type: ignore[arg-type]
        padding=before.padding,  # type: ignore[arg-type]
        bias=before.bias is not None,
    )
    spread = float(before.weight.detach().std())
    factor = (before.in_channels / channels) ** 0.5
    nn.init.normal_(after.weight, std=spread * factor)
    if after.bias is not None:
        nn.init.zeros_(after.bias)
    return after


def _adapted(
    state: dict[str, Tensor], parts: Parts, channels: int
) -> dict[str, Tensor]:
    """Fit weights to the channels, and to the patches, of the images here."""
    state = dict(state)
    if parts.stem in state:
        state[parts.stem] = stem_kernels(state[parts.stem], channels)
    if parts.grid is not None and _POSITIONS in state:
        state[_POSITIONS] = resize_positions(state[_POSITIONS], parts.grid)
    return state


@contextmanager
def _running_statistics(module: nn.Module) -> Iterator[None]:
    """Let batch norm use its running statistics: one image has none of its own."""
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    modes = [norm.training for norm in norms]
    for norm in norms:
        norm.training = False
    try:
        yield
    finally:
        for norm, training in zip(norms, modes, strict=True):
            norm.training = training


def _frozen_stages(freeze: Any, n_stages: int, owner: str) -> int:
    """Count the frozen stages."""
    if isinstance(freeze, str) and freeze in ("none", "all"):
        return n_stages if freeze == "all" else 0
    whole = isinstance(freeze, int) and not isinstance(freeze, bool)
    if whole and 0 <= freeze <= n_stages:
        return freeze
    raise ParameterError(
        parameter="freeze",
        owner=owner,
        allowed=f"'none', 'all' or how many of its {n_stages} stages, the first ones, "
        "are not trained",
        given=freeze,
    )
