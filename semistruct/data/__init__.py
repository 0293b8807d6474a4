"""Data: tensor columns, images, joins by ID, and small data sets."""

from semistruct.data import datasets
from semistruct.data._images import ImageColumn, ImageRows
from semistruct.data._join import join_modalities
from semistruct.data._tensor_array import TensorArray
from semistruct.data._tensor_dtype import TensorDtype

__all__ = [
    "ImageColumn",
    "ImageRows",
    "TensorArray",
    "TensorDtype",
    "datasets",
    "join_modalities",
]
