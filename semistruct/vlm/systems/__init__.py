"""Vision-language systems, one file for each paper."""

from semistruct.vlm.systems._align import ALIGN, ALIGNConfig
from semistruct.vlm.systems._byol import BYOL, BYOLConfig
from semistruct.vlm.systems._clip import CLIP, CLIPConfig
from semistruct.vlm.systems._data2vec import Data2VecImage, Data2VecImageConfig
from semistruct.vlm.systems._data2vec_text import Data2VecText, Data2VecTextConfig
from semistruct.vlm.systems._dino import DINO, DINOConfig
from semistruct.vlm.systems._florence import Florence, FlorenceConfig
from semistruct.vlm.systems._lit import LiT, LiTConfig
from semistruct.vlm.systems._mae import MAE, MAEConfig
from semistruct.vlm.systems._simclr import SimCLR, SimCLRConfig
from semistruct.vlm.systems._swav import SwAV, SwAVConfig
from semistruct.vlm.systems._vsepp import VSEPlusPlus, VSEPlusPlusConfig

__all__ = [
    "ALIGN",
    "BYOL",
    "CLIP",
    "DINO",
    "MAE",
    "ALIGNConfig",
    "BYOLConfig",
    "CLIPConfig",
    "DINOConfig",
    "Data2VecImage",
    "Data2VecImageConfig",
    "Data2VecText",
    "Data2VecTextConfig",
    "Florence",
    "FlorenceConfig",
    "LiT",
    "LiTConfig",
    "MAEConfig",
    "SimCLR",
    "SimCLRConfig",
    "SwAV",
    "SwAVConfig",
    "VSEPlusPlus",
    "VSEPlusPlusConfig",
]
