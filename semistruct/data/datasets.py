"""Data sets: small public tables, and simulations on real scans with known truth."""

from semistruct.data._digits import (
    bmi_effect,
    load_regression_digits,
    load_survival_digits,
    make_regression_digits,
    make_survival_digits,
)
from semistruct.data._shapes import make_captioned_shapes
from semistruct.data._tables import load_mcycle, load_rossi

__all__ = [
    "bmi_effect",
    "load_mcycle",
    "load_regression_digits",
    "load_rossi",
    "load_survival_digits",
    "make_captioned_shapes",
    "make_regression_digits",
    "make_survival_digits",
]
