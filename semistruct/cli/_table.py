"""Tables of the command line: read from files, with paths of images made whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from semistruct._core.terms import DeepTerm, Image, Pretrained, Term
from semistruct.exceptions import DataError

__all__ = ["image_columns", "read_table", "resolve_paths"]

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}


def read_table(path: Path) -> pd.DataFrame:
    """Read a table: .csv, .tsv, .txt (tabs), each perhaps compressed, or .parquet.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    DataFrame
        Empty cells are missing.

    Raises
    ------
    DataError
        If the file is not there, or is no table.
    """
    kinds = [s for s in path.suffixes if s in _SEPARATORS or s == ".parquet"]
    if not kinds:
        known = ", ".join([*_SEPARATORS, ".parquet"])
        raise DataError(f"{path}: the name of a table ends in one of {known}.")
    try:
        if kinds[-1] == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, sep=_SEPARATORS[kinds[-1]])
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    except ImportError:
        raise DataError(f"{path}: pip install pyarrow to read Parquet.") from None
    except (OSError, ValueError) as error:  # of pandas, too: they are ValueErrors
        raise DataError(f"{path} cannot be read as a table: {error}") from error


def image_columns(terms: Mapping[Any, Iterable[Term]]) -> dict[str, bool]:
    """Name the columns that image terms read.

    Parameters
    ----------
    terms : mapping of iterable of Term
        The formulas.

    Returns
    -------
    dict of str to bool
        Whether the cells are images for certain; a pretrained encoder may read texts.
    """
    found: dict[str, bool] = {}
    for formula in terms.values():
        for term in _inner(formula):
            if isinstance(term, Image):
                found[term.column] = True
            elif isinstance(term, Pretrained):
                found.setdefault(term.column, False)
    return found


def resolve_paths(
    frame: pd.DataFrame, columns: Mapping[str, bool], folder: Path
) -> pd.DataFrame:
    """Read paths of images as relative to the folder of the table.

    Parameters
    ----------
    frame : DataFrame of n rows
        The table.
    columns : mapping of str to bool
        Of `image_columns`; where a column may hold texts, only cells that name a file
        are paths. Columns that the table lacks are left out.
    folder : Path
        Where relative paths begin.

    Returns
    -------
    DataFrame of n rows
    """

    def whole(cell: Any, certain: bool) -> Any:
        if isinstance(cell, str):
            path = folder / cell
            return str(path) if certain or path.is_file() else cell
        if isinstance(cell, list | tuple):
            return [whole(one, certain) for one in cell]
        return cell

    made = {
        name: [whole(cell, certain) for cell in frame[name]]
        for name, certain in columns.items()
        if name in frame and frame[name].dtype == object
    }
    return frame.assign(
        **{n: pd.Series(v, frame.index, dtype=object) for n, v in made.items()}
    )


def _inner(terms: Iterable[Any]) -> Iterator[Term]:
    """Give terms and the terms within them."""
    for term in terms:
        if not isinstance(term, Term):
            continue
        yield term
        if isinstance(term, DeepTerm):
            for field in fields(term):
                value = getattr(term, field.name)
                yield from _inner(value if isinstance(value, tuple) else (value,))
