"""Small public tables that the package ships, read from ``semistruct/data/tables``."""

from __future__ import annotations

from importlib.resources import as_file, files

import pandas as pd

from semistruct._core.surv import Surv

__all__ = ["load_mcycle", "load_rossi"]


def load_rossi() -> tuple[pd.DataFrame, Surv]:
    """Time to the first arrest of 432 men in the year after release from prison.

    Half of them, chosen at random, received financial aid (Rossi, Berk & Lenihan 1980,
    *Money, Work, and Crime: Experimental Evidence*, Academic Press).

    Returns
    -------
    X : DataFrame of 432 rows
        ``fin`` (financial aid), ``age`` (years at release), ``race`` (1: Black),
        ``wexp`` (full-time work before), ``mar`` (married), ``paro`` (on parole), each
        0/1 but age, and ``prio`` (number of prior convictions).
    y : Surv
        Weeks to the arrest; 114 events, others are censored at 52 weeks.

    Examples
    --------
    >>> from semistruct.data.datasets import load_rossi
    >>> X, y = load_rossi()
    >>> X.shape, y
    ((432, 7), Surv(n=432, events=114, time=[1, 52]))
    """
    table = _read("rossi")
    return table.drop(columns=["week", "arrest"]), Surv(table["week"], table["arrest"])


def load_mcycle() -> tuple[pd.DataFrame, pd.Series]:
    """Head acceleration in a simulated motorcycle crash, 133 measurements.

    Silverman (1985), Some aspects of the spline smoothing approach to non-parametric
    regression curve fitting, 10.1111/j.2517-6161.1985.tb01327.x.

    Returns
    -------
    X : DataFrame of 133 rows
        ``times``: milliseconds after the impact.
    y : Series
        ``accel``: acceleration in g.

    Examples
    --------
    >>> from semistruct.data.datasets import load_mcycle
    >>> X, y = load_mcycle()
    >>> X.shape, y.name
    ((133, 1), 'accel')
    """
    table = _read("mcycle")
    return table[["times"]], table["accel"]


def _read(name: str) -> pd.DataFrame:
    with as_file(files("semistruct.data") / "tables" / f"{name}.csv") as path:
        return pd.read_csv(path)
