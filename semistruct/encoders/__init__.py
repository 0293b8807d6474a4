"""Encoders: from an image or a block of columns to a latent vector."""

from semistruct.encoders._base import Encoder
from semistruct.encoders._cnn import CNN
from semistruct.encoders._mlp import MLP
from semistruct.encoders._registry import ENCODERS, build_encoder, get_encoder

__all__ = ["CNN", "ENCODERS", "MLP", "Encoder", "build_encoder", "get_encoder"]
