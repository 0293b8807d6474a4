"""Names of encoders, and which one a term has."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

from semistruct._core.terms import (
    PCA,
    DeepTerm,
    Image,
    Omics,
    Pretrained,
    Tabular,
    Text,
)
from semistruct._core.validation import suggest
from semistruct.encoders._autoencoder import Autoencoder
from semistruct.encoders._bag import MultiView, PatchBag
from semistruct.encoders._base import Encoder
from semistruct.encoders._cnn import CNN
from semistruct.encoders._efficientnet import EfficientNet
from semistruct.encoders._huggingface import HuggingFace
from semistruct.encoders._mlp import MLP
from semistruct.encoders._pathway import Pathway
from semistruct.encoders._resnet import ResNet
from semistruct.encoders._snn import SNN
from semistruct.encoders._tabular import FTTransformer, ResNetMLP
from semistruct.encoders._text import TextBag, TextTransformer
from semistruct.encoders._vit import ViT
from semistruct.exceptions import ParameterError

ENCODERS: Mapping[str, type[Encoder]] = MappingProxyType(
    {
        "autoencoder": Autoencoder,
        "bag": PatchBag,
        "cnn": CNN,
        "efficientnet": EfficientNet,
        "ft_transformer": FTTransformer,
        "huggingface": HuggingFace,
        "mlp": MLP,
        "pathway": Pathway,
        "resnet": ResNet,
        "resnet_mlp": ResNetMLP,
        "snn": SNN,
        "text": TextTransformer,
        "text_bag": TextBag,
        "views": MultiView,
        "vit": ViT,
    }
)

_DEFAULTS: dict[type[DeepTerm], str] = {
    Image: "cnn",
    Omics: "mlp",
    PCA: "mlp",
    Pretrained: "mlp",
    Tabular: "mlp",
    Text: "text",
}


def get_encoder(
    encoder: str | Encoder | nn.Module | None, term: DeepTerm
) -> Encoder | nn.Module:
    """Find the encoder of a deep term.

    Parameters
    ----------
    encoder : str, Encoder, torch.nn.Module or None
        Name of a registered encoder, a specification or a module (both given back as
        they are), or None for the default of the kind of term.
    term : DeepTerm
        The term, for the default and for messages.

    Returns
    -------
    Encoder or torch.nn.Module

    Raises
    ------
    ParameterError
        When the name is not known (the message names the nearest), or nothing is given
        and the kind of term has no encoder of its own.

    Examples
    --------
    >>> from semistruct._core.terms import Image
    >>> from semistruct.encoders import get_encoder
    >>> get_encoder(None, Image("scan"))
    CNN()
    """
    if encoder is None:
        if type(term) not in _DEFAULTS:
            raise ParameterError(
                parameter="encoder",
                owner=term.label,
                allowed="an Encoder object or a torch.nn.Module",
                given=None,
                hint="This kind of term has no encoder of its own; give one by "
                f"encoders={{{term.name!r}: …}}.",
            )
        encoder = _DEFAULTS[type(term)]
    if isinstance(encoder, Encoder | nn.Module):
        return encoder
    if isinstance(encoder, str) and encoder in ENCODERS:
        return ENCODERS[encoder]()
    known = ", ".join(repr(name) for name in ENCODERS)
    raise ParameterError(
        parameter="encoder",
        owner=term.label,
        allowed=f"one of {known}, an Encoder object or a torch.nn.Module",
        given=encoder,
        hint=suggest(encoder, ENCODERS) if isinstance(encoder, str) else "",
    )
