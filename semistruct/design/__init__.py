"""The language of terms and the structured design matrices."""

from semistruct.design._bases import BASES
from semistruct.design._basis import Basis
from semistruct.design._cubic import CubicSpline
from semistruct.design._cyclic import CyclicSpline
from semistruct.design._design import (
    StructuredDesign,
    factor_columns,
    structured_columns,
)
from semistruct.design._discrete import DiscreteDesign, Rounding
from semistruct.design._format import format_terms, term_to_text
from semistruct.design._language import parse_formula
from semistruct.design._markov import MarkovField
from semistruct.design._monotone import MonotoneDecreasing, MonotoneIncreasing
from semistruct.design._operator import DenseDesign, DesignOperator
from semistruct.design._p_spline import PSpline
from semistruct.design._person_period import PersonPeriod
from semistruct.design._person_period_design import PersonPeriodDesign
from semistruct.design._person_period_fit import (
    fit_person_period,
    person_period_offset,
)
from semistruct.design._scan import quote_column
from semistruct.design._thin_plate import ThinPlate
from semistruct.design._types import Block, Constraint, Penalty

__all__ = [
    "BASES",
    "Basis",
    "Block",
    "Constraint",
    "CubicSpline",
    "CyclicSpline",
    "DenseDesign",
    "DesignOperator",
    "DiscreteDesign",
    "MarkovField",
    "MonotoneDecreasing",
    "MonotoneIncreasing",
    "PSpline",
    "Penalty",
    "PersonPeriod",
    "PersonPeriodDesign",
    "Rounding",
    "StructuredDesign",
    "ThinPlate",
    "factor_columns",
    "fit_person_period",
    "format_terms",
    "parse_formula",
    "person_period_offset",
    "quote_column",
    "structured_columns",
    "term_to_text",
]
