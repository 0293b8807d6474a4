"""Data: tensor columns, images, joins by ID, and small data sets."""

from semistruct.data import datasets
from semistruct.data._image_bags import (
    ImageBagColumn,
    ImageBagRows,
    holds_bags,
    join_views,
)
from semistruct.data._images import ImageColumn, ImageRows
from semistruct.data._join import join_modalities
from semistruct.data._table import TableColumns
from semistruct.data._tensor_array import TensorArray
from semistruct.data._tensor_dtype import TensorDtype
from semistruct.data._texts import TextColumn

__all__ = [
    "ImageBagColumn",
    "ImageBagRows",
    "ImageColumn",
    "ImageRows",
    "TableColumns",
    "TensorArray",
    "TensorDtype",
    "TextColumn",
    "datasets",
    "holds_bags",
    "join_modalities",
    "join_views",
]
