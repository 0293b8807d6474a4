"""EfficientNets. Letters: B rows, C channels, H height, W width, F features."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from semistruct._core.validation import check_choice
from semistruct.encoders._vision import SMALL, Average, Parts, VisionEncoder, stem

_VARIANTS = (*(f"b{i}" for i in range(8)), "v2_s", "v2_m", "v2_l")


class EfficientNet(VisionEncoder):
    """EfficientNet, torchvision's, from scratch or with weights.

    The stem of images whose longer side is below 64 pixels has stride 1; weights fit
    both. Any number of channels: kernels of weights are averaged over theirs.

    Parameters
    ----------
    variant : {"b0", …, "b7", "v2_s", "v2_m", "v2_l"}, default="b0"
        Which one.
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    weights : str or path, optional
        As for `ResNet`.
    freeze : {"none", "all"} or int, default="none"
        As for `ResNet`; the stages are nine (``"v2_s"``: eight).
    dropout : float, default=0.0
        Share of the pooled features that are dropped in training, in [0, 1).
    augment : Augment, str, callable or sequence of them, optional
        Changes of training images, see `Augment`.

    Notes
    -----
    Tan & Le (2019), PMLR 97, arXiv:1905.11946; version 2: Tan & Le (2021), PMLR 139,
    arXiv:2104.00298. In training whole residual branches are dropped at random (Huang
    et al. 2016, doi:10.1007/978-3-319-46493-0_39), as torchvision has it.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import EfficientNet
    >>> module = EfficientNet(output_dim=4).build((1, 16, 16)).eval()
    >>> module(torch.zeros(5, 1, 16, 16)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        variant: str = "b0",
        output_dim: int = 16,
        weights: Any = None,
        freeze: str | int = "none",
        dropout: float = 0.0,
        augment: Any = None,
    ) -> None:
        self.variant = variant
        self.output_dim = output_dim
        self.weights = weights
        self.freeze = freeze
        self.dropout = dropout
        self.augment = augment

    def _parts(self, torchvision: ModuleType, input_shape: tuple[int, ...]) -> Parts:
        check_choice(self.variant, _VARIANTS, parameter="variant", owner="EfficientNet")
        name = f"efficientnet_{self.variant}"
        model = torchvision.models.get_model(name)
        large = max(input_shape[1:]) >= SMALL
        first = model.features[0]
        first[0] = stem(first[0], input_shape[0], strided=large)
        stages, n_features = list(model.features), model.classifier[-1].in_features
        return Parts(
            model,
            name,
            "features.0.0.weight",
            "classifier.",
            stages,
            Average(),
            n_features,
        )
