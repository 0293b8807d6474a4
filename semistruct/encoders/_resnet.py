"""Residual networks. Letters: B rows, C channels, H height, W width, F features."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from torch import nn

from semistruct._core.validation import check_choice
from semistruct.encoders._vision import SMALL, Average, Parts, VisionEncoder, stem


class ResNet(VisionEncoder):
    """Residual network, torchvision's, from scratch or with weights.

    Images whose longer side is below 64 pixels are not made smaller before the first
    stage: its convolution has stride 1 and no pooling follows; weights fit both. Any
    number of channels: kernels of weights are averaged over theirs.

    Parameters
    ----------
    depth : {18, 34, 50}, default=18
        Layers.
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    weights : str or path, optional
        ``"DEFAULT"`` or another name of torchvision (fetched, and kept by torch), or a
        file with a state dict (``.pt``, ``.pth``, ``.safetensors``; never unpickled
        code). Default: random.
    freeze : {"none", "all"} or int, default="none"
        What is not trained: nothing, all but the linear head, or the first so many of
        five stages (stem and four blocks of layers). Batch norm of frozen stages keeps
        its running statistics.
    dropout : float, default=0.0
        Share of the pooled features that are dropped in training, in [0, 1).
    augment : Augment, str, callable or sequence of them, optional
        Changes of training images, see `Augment`.

    Notes
    -----
    He, Zhang, Ren & Sun (2016), doi:10.1109/CVPR.2016.90. Batch norm (Ioffe & Szegedy
    2015, arXiv:1502.03167) lets rows of a batch act on each other in training only;
    rows without an image are among them, as zeros. A batch of one row takes the running
    statistics. `CNN` and `ViT` treat each image by itself.

    Weights expect images normalised by ImageNet's means and deviations; a column of
    images comes standardised by its own, which stands in for it. `build_encoder` with
    ``moments`` makes the difference good to the last digit.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import ResNet
    >>> module = ResNet(output_dim=4).build((1, 16, 16)).eval()
    >>> module(torch.zeros(5, 1, 16, 16)).shape
    torch.Size([5, 4])
    >>> module.features(torch.zeros(5, 1, 16, 16)).shape
    torch.Size([5, 512])
    """

    def __init__(
        self,
        depth: int = 18,
        output_dim: int = 16,
        weights: Any = None,
        freeze: str | int = "none",
        dropout: float = 0.0,
        augment: Any = None,
    ) -> None:
        self.depth = depth
        self.output_dim = output_dim
        self.weights = weights
        self.freeze = freeze
        self.dropout = dropout
        self.augment = augment

    def _parts(self, torchvision: ModuleType, input_shape: tuple[int, ...]) -> Parts:
        check_choice(self.depth, (18, 34, 50), parameter="depth", owner="ResNet")
        name = f"resnet{self.depth}"
        model = torchvision.models.get_model(name)
        large = max(input_shape[1:]) >= SMALL
        model.conv1 = stem(model.conv1, input_shape[0], strided=large)
        entry = [model.conv1, model.bn1, model.relu]
        stages = [
            nn.Sequential(*entry, *([model.maxpool] if large else [])),
            *(model.layer1, model.layer2, model.layer3, model.layer4),
        ]
        n_features = model.fc.in_features
        return Parts(model, name, "conv1.weight", "fc.", stages, Average(), n_features)
