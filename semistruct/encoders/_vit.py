"""Vision transformers.

Letters: B rows, C channels, H height, W width, D width of a token, h and w patches
along height and width.
"""

from __future__ import annotations

from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from semistruct._core.validation import check_choice, check_number
from semistruct.encoders._vision import Parts, VisionEncoder, stem
from semistruct.exceptions import ParameterError

_SIDE = 8  # patches along the longer side, where the size of a patch is not given


class _Size(NamedTuple):
    patch_size: int | None  # None: from the image
    dim: int
    depth: int
    heads: int


_VARIANTS = MappingProxyType(
    {
        "tiny": _Size(None, 64, 4, 4),
        "b_16": _Size(16, 768, 12, 12),
        "b_32": _Size(32, 768, 12, 12),
        "l_16": _Size(16, 1024, 24, 16),
        "l_32": _Size(32, 1024, 24, 16),
        "h_14": _Size(14, 1280, 32, 16),
    }
)


class ViT(VisionEncoder):
    """Vision transformer, torchvision's, at the size of the images.

    The image is cut into square patches, filled up with zeros (the column's mean) at
    the right and at the bottom; the class token's last state is what comes out.

    Parameters
    ----------
    variant : {"tiny", "b_16", "b_32", "l_16", "l_32", "h_14"}, default="tiny"
        Sizes that are not given are those of the variant. ``"tiny"``, which learns from
        scratch: about 8 patches along the longer side, dim 64, depth 4, 4 heads.
    patch_size : int, optional
        Side of a patch in pixels, at least 1.
    dim : int, optional
        Width D of a token, a multiple of ``heads``.
    depth : int, optional
        Number of blocks, at least 1.
    heads : int, optional
        Heads of the attention, at least 1.
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    weights : str or path, optional
        As for `ResNet`. Position embeddings are interpolated to the images' grid.
    freeze : {"none", "all"} or int, default="none"
        As for `ResNet`; the stages are the patches and then each block.
    dropout : float, default=0.0
        Share of the features that are dropped in training, in [0, 1).
    augment : Augment, str, callable or sequence of them, optional
        Changes of training images, see `Augment`.

    Notes
    -----
    Dosovitskiy et al. (2021), ICLR, arXiv:2010.11929. Layer norm treats each image by
    itself. The hidden layer of a block has 4·D units.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import ViT
    >>> module = ViT(depth=2, output_dim=4).build((1, 16, 24)).eval()
    >>> module(torch.zeros(5, 1, 16, 24)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        variant: str = "tiny",
        patch_size: int | None = None,
        dim: int | None = None,
        depth: int | None = None,
        heads: int | None = None,
        output_dim: int = 16,
        weights: Any = None,
        freeze: str | int = "none",
        dropout: float = 0.0,
        augment: Any = None,
    ) -> None:
        self.variant = variant
        self.patch_size = patch_size
        self.dim = dim
        self.depth = depth
        self.heads = heads
        self.output_dim = output_dim
        self.weights = weights
        self.freeze = freeze
        self.dropout = dropout
        self.augment = augment

    def _parts(self, torchvision: ModuleType, input_shape: tuple[int, ...]) -> Parts:
        channels, height, width = input_shape
        size = self._size()
        patch = size.patch_size or -(-max(height, width) // _SIDE)
        model = torchvision.models.VisionTransformer(
            image_size=patch,
            patch_size=patch,
            num_layers=size.depth,
            num_heads=size.heads,
            hidden_dim=size.dim,
            mlp_dim=4 * size.dim,
        )
        model.conv_proj = stem(model.conv_proj, channels, strided=True)
        grid = (-(-height // patch), -(-width // patch))
        positions = torch.empty(1, 1 + grid[0] * grid[1], size.dim).normal_(std=0.02)
        model.encoder.pos_embedding = nn.Parameter(positions)
        *blocks, last = model.encoder.layers
        stages = [
            _Patches(model.conv_proj, model.class_token, model.encoder.pos_embedding),
            *blocks,
            nn.Sequential(last, model.encoder.ln),
        ]
        return Parts(
            model,
            f"vit_{self.variant}",
            "conv_proj.weight",
            "heads.",
            stages,
            _ClassToken(),
            size.dim,
            grid,
        )

    def _size(self) -> _Size:
        check_choice(self.variant, _VARIANTS, parameter="variant", owner="ViT")
        given = {name: getattr(self, name) for name in _Size._fields}
        for name, value in given.items():
            check_number(
                value, parameter=name, owner="ViT", low=1, integer=True, none=True
            )
        chosen = {name: value for name, value in given.items() if value is not None}
        size = _VARIANTS[self.variant]._replace(**chosen)
        if size.dim % size.heads:
            raise ParameterError(
                parameter="dim",
                owner="ViT",
                allowed=f"a multiple of the {size.heads} heads",
                given=size.dim,
            )
        return size


class _Patches(nn.Module):
    """From images to tokens: patches, the class token before them, positions."""

    def __init__(
        self, project: nn.Conv2d, class_token: nn.Parameter, positions: nn.Parameter
    ) -> None:
        super().__init__()
        self.project, self.class_token, self.positions = project, class_token, positions

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, 1 + h·w, D)."""
        patch = self.project.kernel_size[0]
        height, width = images.shape[2:]
        filled = functional.pad(images, (0, -width % patch, 0, -height % patch))
        tokens = self.project(filled).flatten(2).transpose(1, 2)  # (B, h·w, D)
        first = self.class_token.expand(len(tokens), -1, -1)
        return torch.cat([first, tokens], dim=1) + self.positions


class _ClassToken(nn.Module):
    """The first token."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, 1 + h·w, D) to (B, D)."""
        return tokens[:, 0]
