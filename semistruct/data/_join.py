"""Bring a table, images and omics together by ID, never by the position of rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.validation import check_choice, suggest
from semistruct.data._tensor_array import TensorArray
from semistruct.data._tensor_cells import is_null
from semistruct.exceptions import ColumnError, DataError, ParameterError

__all__ = ["join_modalities"]

_LOGGER = logging.getLogger("semistruct")
_OWNER = "join_modalities"
_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_SHOWN = 20  # IDs that a report lists


def join_modalities(
    table: pd.DataFrame,
    *,
    images: Any = None,
    omics: pd.DataFrame | None = None,
    on: str,
    image_column: str = "image",
    how: str = "left",
) -> pd.DataFrame:
    """Join a table, images and omics by the ID of the patient (or of any unit).

    Parameters
    ----------
    table : DataFrame of n rows
        Holds the column ``on``, each ID once.
    images : mapping, Series, DataFrame or folder, optional
        ID to path or array as a mapping or a Series; a DataFrame with the column ``on``
        and ``image_column`` (or one other column); or the path of a folder whose image
        files are named by the ID (``<ID>.png``; IDs are then compared as text).
    omics : DataFrame, optional
        One row for each ID, which stands in the column ``on`` or in the index.
    on : str
        Name of the column of IDs.
    image_column : str, default="image"
        Name of the column of images in the result.
    how : {"left", "inner", "outer"}, default="left"
        Rows of the result: those of ``table``; those that every source has; those that
        any source has (``table`` first, then in the order of the sources).

    Returns
    -------
    DataFrame
        The columns of ``table``, the image column, the columns of ``omics``. What did
        not match is null: in the image column, which is a `TensorArray` if all images
        are arrays of one shape and one dtype, and NaN in the omics columns.
        ``attrs["join_report"]`` is a dict of plain types: ``on``, ``how``, ``rows``,
        and for each source ``given``, ``matched``, ``without`` (IDs of the table that
        it does not hold: ``count`` and the first 20 as ``ids``) and ``unused`` (its IDs
        that the table does not hold). The same is logged to the logger ``semistruct``,
        as a warning if an ID did not match.

    Raises
    ------
    ColumnError
        If the column ``on`` is not there.
    DataError
        If an ID is missing or stands twice, a column would stand twice, or no ID at all
        matches and the IDs are of different types.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from semistruct.data import join_modalities
    >>> table = pd.DataFrame({"patient": ["a", "b"], "age": [61.0, 54.0]})
    >>> scans = {"b": np.ones((8, 8)), "c": np.zeros((8, 8))}
    >>> frame = join_modalities(table, images=scans, on="patient")
    >>> frame
      patient   age         image
    0       a  61.0          <NA>
    1       b  54.0  <8×8 mean 1>
    >>> frame.attrs["join_report"]["images"]["unused"]
    {'count': 1, 'ids': ['c']}
    """
    check_choice(how, ["left", "inner", "outer"], parameter="how", owner=_OWNER)
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"{_OWNER}: table must be a DataFrame; got {type(table)}.")
    ids = _unique_ids(_column(table, on, "table"), "table")
    sources: dict[str, pd.DataFrame] = {}  # each indexed by ID
    as_text = isinstance(images, (str, os.PathLike))
    if images is not None:
        sources["images"] = _images_by_id(images, on, image_column)
    if omics is not None:
        sources["omics"] = _by_id(omics, on, "omics")
    _check_columns(table, sources)

    keys = dict.fromkeys(sources, ids)
    if as_text:
        keys["images"] = _unique_ids(ids.map(str), "table (as text)")
    report: dict[str, Any] = {"on": on, "how": how}
    for name, source in sources.items():
        report[name] = _match(keys[name], source.index, name)

    result = table.copy()
    if how == "inner":
        kept = np.ones(len(ids), dtype=bool)
        for name, source in sources.items():
            kept &= keys[name].isin(source.index)
        result = result.loc[kept]
        keys = {name: key[kept] for name, key in keys.items()}
    elif how == "outer":
        result, keys = _with_all_ids(result, on, ids, sources, as_text)
    for name, source in sources.items():
        result = _attach(result, source, keys[name])
    report["rows"] = len(result)
    result.attrs["join_report"] = report
    _log(report, sources)
    return result


def _column(frame: pd.DataFrame, on: str, source: str) -> pd.Index:
    if on not in frame.columns:
        raise ColumnError(
            f"{_OWNER}: {source} has no column {on!r}, given as on=."
            f"{suggest(on, frame.columns)}"
        )
    return pd.Index(frame[on])


def _unique_ids(ids: pd.Index, source: str) -> pd.Index:
    missing = np.flatnonzero(ids.isna())
    if len(missing):
        raise DataError(
            f"{_OWNER}: {source} has {len(missing)} rows without an ID, the first at "
            f"position {missing[0]}. Drop them or give them IDs."
        )
    twice = ids[ids.duplicated()].unique()
    if len(twice):
        raise DataError(
            f"{_OWNER}: {source} holds {len(twice)} IDs more than once: "
            f"{_some(twice)}. Keep one row for each ID."
        )
    return ids


def _some(ids: Iterable[Any]) -> str:
    plain = _plain(ids)
    return ", ".join(map(repr, plain[:5])) + (", …" if len(plain) > 5 else "")


def _plain(ids: Iterable[Any]) -> list[Any]:
    values = [i.item() if isinstance(i, np.generic) else i for i in ids]
    return [i if isinstance(i, (str, int, float, bool)) else str(i) for i in values]


def _by_id(frame: Any, on: str, source: str) -> pd.DataFrame:
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{_OWNER}: {source} must be a DataFrame; got {type(frame)}.")
    if on in frame.columns:
        frame = frame.set_index(on)
    return frame.set_axis(_unique_ids(frame.index, source), axis=0)


def _images_by_id(images: Any, on: str, column: str) -> pd.DataFrame:
    if isinstance(images, (str, os.PathLike)):
        images = _files(Path(images))
    elif isinstance(images, pd.DataFrame):
        frame = _by_id(images, on, "images")
        if column in frame.columns:
            images = frame[column]
        elif frame.shape[1] == 1:
            images = frame.iloc[:, 0]
        else:
            raise ColumnError(
                f"{_OWNER}: images has no column {column!r} and {frame.shape[1]} "
                f"others. Name it by image_column=.{suggest(column, frame.columns)}"
            )
    elif isinstance(images, Mapping):
        cells = np.empty(len(images), dtype=object)
        for i, cell in enumerate(images.values()):
            cells[i] = cell
        images = pd.Series(cells, index=pd.Index(list(images)))
    if not isinstance(images, pd.Series):
        raise ParameterError(
            parameter="images",
            owner=_OWNER,
            allowed="a mapping, a Series, a DataFrame or the path of a folder",
            given=type(images).__name__,
        )
    index = _unique_ids(images.index, "images")
    return pd.DataFrame({column: _packed(images)}, index=index)


def _packed(images: pd.Series) -> Any:
    """Give a TensorArray if all images are arrays of one shape and dtype."""
    if isinstance(images.array, TensorArray):
        return images.array
    cells = images.astype(object).to_numpy()
    present = [cell for cell in cells if not is_null(cell)]
    kinds = {
        (cell.shape, cell.dtype) if isinstance(cell, np.ndarray) else None
        for cell in present
    }
    if len(kinds) == 1 and None not in kinds and present[0].dtype.kind in "biuf":
        return TensorArray.from_cells(cells) if present[0].ndim else cells
    return cells


def _files(folder: Path) -> pd.Series:
    if not folder.is_dir():
        raise DataError(f"{_OWNER}: images={str(folder)!r} is not a folder.")
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
    )
    if not files:
        raise DataError(
            f"{_OWNER}: the folder {str(folder)!r} holds no image; known are the "
            f"suffixes {', '.join(sorted(_SUFFIXES))}."
        )
    return pd.Series(
        [str(path) for path in files], index=[path.stem for path in files], dtype=object
    )


def _check_columns(table: pd.DataFrame, sources: dict[str, pd.DataFrame]) -> None:
    taken = list(table.columns)
    for name, source in sources.items():
        both = [column for column in source.columns if column in taken]
        if both:
            raise DataError(
                f"{_OWNER}: the columns {_some(both)} of {name} are there already. "
                "Rename them" + (" by image_column=." if name == "images" else ".")
            )
        taken += list(source.columns)


def _match(keys: pd.Index, given: pd.Index, name: str) -> dict[str, Any]:
    found = keys.isin(given)
    if len(keys) and len(given) and not found.any():
        types = [type(_plain(index[:1])[0]).__name__ for index in (keys, given)]
        if types[0] != types[1]:
            raise DataError(
                f"{_OWNER}: no ID of the table is in {name}: the table's are "
                f"{types[0]} ({_some(keys[:2])}), those of {name} are {types[1]} "
                f"({_some(given[:2])}). Convert one of them."
            )
    return {
        "given": len(given),
        "matched": int(found.sum()),
        "without": _listed(keys[~found]),
        "unused": _listed(given[~given.isin(keys)]),
    }


def _listed(ids: pd.Index) -> dict[str, Any]:
    return {"count": len(ids), "ids": _plain(ids[:_SHOWN])}


def _with_all_ids(
    table: pd.DataFrame,
    on: str,
    ids: pd.Index,
    sources: dict[str, pd.DataFrame],
    as_text: bool,
) -> tuple[pd.DataFrame, dict[str, pd.Index]]:
    every = list(ids)
    known = {str(i) if as_text else i for i in every}
    for source in sources.values():
        for i in source.index:
            key = str(i) if as_text else i
            if key not in known:
                known.add(key)
                every.append(i)
    index = pd.Index(every)
    extra = pd.DataFrame({on: index[len(ids) :]})
    result = pd.concat([table, extra], ignore_index=True) if len(extra) else table
    text = index.map(str) if as_text else index
    return result, {name: text if name == "images" else index for name in sources}


def _attach(result: pd.DataFrame, source: pd.DataFrame, keys: pd.Index) -> pd.DataFrame:
    if not keys.isin(source.index).all():  # a boolean column has no NaN
        source = source.astype(dict.fromkeys(source.select_dtypes(bool), float))
    found = source.reindex(keys).set_axis(result.index, axis=0)
    return pd.concat([result, found], axis=1)


def _log(report: dict[str, Any], sources: dict[str, pd.DataFrame]) -> None:
    for name in sources:
        part = report[name]
        without, unused = part["without"], part["unused"]
        level = logging.WARNING if without["count"] or unused["count"] else logging.INFO
        _LOGGER.log(
            level,
            "%s: %d of %d IDs of %s matched; %d rows of the table without (%s), "
            "%d unused (%s)",
            _OWNER,
            part["matched"],
            part["given"],
            name,
            without["count"],
            _some(without["ids"]),
            unused["count"],
            _some(unused["ids"]),
        )
