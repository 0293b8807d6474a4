"""Encoders: from an image or a block of columns to a latent vector."""

from semistruct.encoders._augment import Augment
from semistruct.encoders._autoencoder import Autoencoder
from semistruct.encoders._bag import MultiView, PatchBag
from semistruct.encoders._base import Encoder
from semistruct.encoders._build import build_encoder
from semistruct.encoders._cnn import CNN
from semistruct.encoders._efficientnet import EfficientNet
from semistruct.encoders._huggingface import HuggingFace
from semistruct.encoders._mlp import MLP
from semistruct.encoders._pathway import Pathway
from semistruct.encoders._registry import ENCODERS, get_encoder
from semistruct.encoders._resnet import ResNet
from semistruct.encoders._snn import SNN
from semistruct.encoders._states import encoder_from_state, encoder_to_state, untrained
from semistruct.encoders._tabular import FTTransformer, ResNetMLP
from semistruct.encoders._text import TextBag, TextTransformer
from semistruct.encoders._vit import ViT

__all__ = [
    "CNN",
    "ENCODERS",
    "MLP",
    "SNN",
    "Augment",
    "Autoencoder",
    "EfficientNet",
    "Encoder",
    "FTTransformer",
    "HuggingFace",
    "MultiView",
    "PatchBag",
    "Pathway",
    "ResNet",
    "ResNetMLP",
    "TextBag",
    "TextTransformer",
    "ViT",
    "build_encoder",
    "encoder_from_state",
    "encoder_to_state",
    "get_encoder",
    "untrained",
]
