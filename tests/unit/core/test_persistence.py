"""Saved states: what goes in comes out; what cannot is a named error and no loss."""

from __future__ import annotations

import json
import math
import os
import stat
import string
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from safetensors.numpy import save_file

from semistruct._core import persistence
from semistruct._core.persistence import FORMAT_VERSION, read_state, write_state
from semistruct.exceptions import PersistenceError

DTYPES = [
    *("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"),
    *("f2", "f4", "f8", ">f8", ">i4"),
]


def same(a, b) -> bool:
    """Whether two trees are equal to the last bit, tuples being lists."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        native = a.astype(a.dtype.newbyteorder("="))
        equal_nan = native.dtype.kind == "f"
        return (
            native.dtype == b.dtype
            and a.shape == b.shape
            and np.array_equal(native, b, equal_nan=equal_nan)
        )
    if isinstance(a, dict):
        return (
            isinstance(b, dict)
            and list(a) == list(b)
            and all(same(a[k], b[k]) for k in a)
        )
    if isinstance(a, list | tuple):
        return (
            isinstance(b, list)
            and len(a) == len(b)
            and all(same(x, y) for x, y in zip(a, b, strict=True))
        )
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b


def round_trip(folder, state):
    write_state(folder, state)
    return read_state(folder)


keys = st.one_of(
    st.text(st.sampled_from("$/ab'é "), max_size=4),
    st.sampled_from(["$array", "$float", "$$array", "", "/", "a/b"]),
)
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, min_side=0))
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(string.printable + "äβ漢")
)
trees = st.recursive(
    scalars | arrays,
    lambda t: st.lists(t, max_size=3) | st.dictionaries(keys, t, max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(keys, trees, max_size=4))
def test_any_state_comes_back(tmp_path, state):
    assert same(state, round_trip(tmp_path / "model", state))


def test_numpy_scalars_tensors_and_tuples(tmp_path):
    weight = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    state = {
        "f": np.float32(0.5),
        "i": np.int64(3),
        "b": np.bool_(True),
        "s": np.str_("x"),
        "inf": np.float64("-inf"),
        "tuple": (1, (2.0, None)),
        "weight": weight.t().requires_grad_(),
        "mask": torch.tensor([True, False]),
        "strided": np.arange(12).reshape(3, 4)[::2, ::-1],
        "scalar": torch.tensor(2, dtype=torch.uint8),
    }
    again = round_trip(tmp_path / "m", state)
    assert [again[k] for k in "fibs"] == [0.5, 3, True, "x"]
    assert [type(again[k]) for k in "fibs"] == [float, int, bool, str]
    assert again["inf"] == -math.inf
    assert again["tuple"] == [1, [2.0, None]]
    assert again["weight"].tolist() == weight.t().tolist()
    assert again["mask"].dtype == bool
    assert again["strided"].tolist() == state["strided"].tolist()
    assert again["scalar"].shape == ()


def test_arrays_that_share_memory_are_copies(tmp_path):
    block = np.arange(4.0)
    again = round_trip(tmp_path / "m", {"a": block, "b": block[:2]})
    again["a"][0] = 9.0  # writable
    assert again["b"].tolist() == [0.0, 1.0]


def test_slashes_in_keys_do_not_collide(tmp_path):
    state = {"a/b": np.zeros(1), "a": {"b": np.ones(1)}, "a/b'": np.full(1, 2.0)}
    assert same(state, round_trip(tmp_path / "m", state))


def test_the_folder_holds_json_and_safetensors_only(tmp_path):
    write_state(tmp_path / "deep" / "m", {"x": np.ones(2), "nan": math.nan})
    files = sorted(p.name for p in (tmp_path / "deep" / "m").iterdir())
    assert files == ["arrays.safetensors", "model.json"]

    def refuse(constant):
        raise AssertionError(constant)  # NaN and Infinity are not JSON

    text = (tmp_path / "deep" / "m" / "model.json").read_text(encoding="utf-8")
    document = json.loads(text, parse_constant=refuse)
    assert document["version"] == FORMAT_VERSION
    assert document["state"] == {"x": {"$array": "/x"}, "nan": {"$float": "nan"}}


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_permissions_are_those_of_any_new_folder(tmp_path):
    (tmp_path / "plain").mkdir()
    write_state(tmp_path / "m", {})
    modes = [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("plain", "m")]
    assert modes[0] == modes[1]


# -- replacing ----------------------------------------------------------------------


def test_a_saved_model_is_replaced_whole(tmp_path):
    write_state(tmp_path / "m", {"old": np.ones(3)})
    write_state(tmp_path / "m", {"new": 1})
    assert read_state(tmp_path / "m") == {"new": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_an_empty_folder_and_a_link_are_written(tmp_path):
    (tmp_path / "m").mkdir()
    write_state(tmp_path / "m", {"a": 1})
    (tmp_path / "link").symlink_to(tmp_path / "m", target_is_directory=True)
    write_state(tmp_path / "link", {"a": 2})
    assert (tmp_path / "link").is_symlink()
    assert read_state(tmp_path / "m") == {"a": 2}


def test_a_relative_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_state("m", {"a": 1})
    assert read_state("m") == {"a": 1}


def _file(path: Path):
    path.write_text("mine")


def _folder(path: Path):
    path.mkdir()
    (path / "thesis.tex").write_text("mine")


def _other_program(path: Path):
    path.mkdir()
    (path / "model.json").write_text("{}")


def _model_and_more(path: Path):
    write_state(path, {"a": 1})
    (path / "notes.txt").write_text("mine")


@pytest.mark.parametrize("make", [_file, _folder, _other_program, _model_and_more])
def test_what_is_no_saved_model_is_left_alone(tmp_path, make):
    target = tmp_path / "m"
    make(target)
    files = sorted(p for p in target.rglob("*"))
    with pytest.raises(PersistenceError, match=r"holds something else.*another folder"):
        write_state(target, {"a": 2})
    assert sorted(p for p in target.rglob("*")) == files
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("step", [1, 2])
def test_an_error_leaves_the_old_one(tmp_path, monkeypatch, error, step):
    target = tmp_path / "m"
    write_state(target, {"a": 1})
    rename, calls = Path.rename, []

    def fail(self, to):
        calls.append(to)
        if len(calls) == step:
            raise error
        return rename(self, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        with pytest.raises(error):
            write_state(target, {"a": 2})
    assert read_state(target) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_an_unwritable_state_leaves_the_old_one(tmp_path):
    write_state(tmp_path / "m", {"a": 1})
    with pytest.raises(PersistenceError):
        write_state(tmp_path / "m", {"a": object()})
    assert read_state(tmp_path / "m") == {"a": 1}


# -- what cannot be written ---------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {"f": print}}, "A builtin_function_or_method at '/a/f' cannot be saved"),
        ({"a": [1, object()]}, "A object at '/a/1'"),
        ({"a": 1j}, "A complex at '/a'"),
        ({"a": b"x"}, "A bytes"),
        ({"a": {1, 2}}, "A set"),
        ({"a": {3: 1}}, "The key 3 at '/a' is not a string"),
        ({"a": np.datetime64("2020-01-01", "ns")}, "A datetime64 at '/a'"),
        ({"a": np.array(["x"])}, "dtype str.* at '/a' cannot be saved; allowed"),
        ({"a": np.array([None])}, "dtype object at '/a'"),
        ({"a": np.array([1j])}, "dtype complex128"),
        ({"a": torch.ones(2, dtype=torch.bfloat16)}, "dtype bfloat16 at '/a'"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "dtype complex64"),
    ],
)
def test_what_cannot_be_saved_is_named(tmp_path, state, message):
    with pytest.raises(PersistenceError, match=message):
        write_state(tmp_path / "m", state)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(np.dtype("g").itemsize == 8, reason="long double is double here")
def test_long_doubles_are_not_rounded_in_silence(tmp_path):
    for value in (np.longdouble(1), np.ones(2, dtype="g")):
        with pytest.raises(PersistenceError, match="at '/a' cannot be saved"):
            write_state(tmp_path / "m", {"a": value})


# -- what cannot be read ------------------------------------------------------------


def write_raw(folder, document, arrays=None):
    folder.mkdir()
    text = document if isinstance(document, str) else json.dumps(document)
    (folder / "model.json").write_text(text)
    save_file(arrays or {"/x": np.ones(2)}, folder / "arrays.safetensors")
    return folder


def document(state, version=FORMAT_VERSION):
    return {"format": persistence.FORMAT, "version": version, "state": state}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a saved model: .*model.save"),
        ("[]", "is not of the format 'semistruct-model'"),
        ({"format": "other", "version": 1, "state": {}}, "is not of the format"),
        (document({}, 99), "has format version 99; this version .* reads version 1"),
        ({"format": "semistruct-model", "version": 1}, "holds no state"),
        (document([1]), "holds no state"),
        (document({"a": {"$array": "/y"}}), "The array '/y' is not there"),
        (document({"a": {"$array": ["/x"]}}), "The array .* is not there"),
        (document({"a": {"$float": "print()"}}), "A saved number is none"),
        (document({"a": {"$float": None}}), "A saved number is none"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, message):
    with pytest.raises(PersistenceError, match=message):
        read_state(write_raw(tmp_path / "m", content))


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(PersistenceError, match="is not a saved model"):
        read_state(tmp_path / "m")


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04pickle", b"\xff" * 64])
def test_damaged_arrays(tmp_path, content):
    folder = write_raw(tmp_path / "m", document({}))
    (folder / "arrays.safetensors").unlink()
    if content is not None:
        (folder / "arrays.safetensors").write_bytes(content)
    with pytest.raises(PersistenceError, match="is not a saved model"):
        read_state(folder)


def test_text_that_is_not_utf8(tmp_path):
    folder = write_raw(tmp_path / "m", document({}))
    (folder / "model.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(PersistenceError, match="is not a saved model"):
        read_state(folder)
