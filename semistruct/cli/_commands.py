"""The commands of the command line: fit, predict, report."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import semistruct as ss
from semistruct._core.persistence import read_state, write_state
from semistruct.design import parse_formula
from semistruct.exceptions import ColumnError, DataError, ParameterError

from ._table import image_columns, read_table, resolve_paths
from ._target import Target

__all__ = ["run_fit", "run_predict", "run_report"]

_NAMED = re.compile(r"^\s*([^~()]+?)\s*~\s*(.+)$", re.DOTALL)
_ROLES = "command line"  # entry of a saved model: the columns of its target


def run_fit(given: Namespace) -> None:
    """Fit a model to a table, print its summary and save it."""
    out, roles = Path(given.out), Target.given(given)
    if not roles:
        raise DataError("Say what is to be explained: --target, or --time and --event.")
    frame = read_table(Path(given.table))
    terms = _terms(given.formula)
    parsed = {
        name: parse_formula(text)
        for name, text in (terms if isinstance(terms, dict) else {"": terms}).items()
    }
    y = roles.read(frame)
    X = frame.drop(columns=roles.columns)
    X = resolve_paths(X, image_columns(parsed), Path(given.table).parent)
    model = _estimator(given, roles, y)(terms, **_options(given))
    model.fit(X, y)
    model.save(out)
    write_state(out, {**read_state(out), _ROLES: roles.to_state()})
    print(model.summary())
    print(f"Wrote the model to {out}.", file=sys.stderr)


def run_predict(given: Namespace) -> None:
    """Predict rows of a table, as CSV."""
    model, frame, X = _loaded(given)
    unknown = [name for name in given.keep if name not in frame]
    if unknown:
        raise ColumnError(f"--keep: the table has no column {unknown[0]!r}.")
    parts = [frame[given.keep], _predictions(model, X, given)]
    if given.terms:
        parts.append(_flat(model.predict_terms(X)))
    table = pd.concat(parts, axis=1)
    table.index.name = "row"
    text = table.to_csv(None if given.out is None else _ready(given.out))
    if given.out is None:
        sys.stdout.write(text)
    else:
        print(f"Wrote {len(table)} rows to {given.out}.", file=sys.stderr)


def run_report(given: Namespace) -> None:
    """Write a page about a model and rows with known target."""
    roles = Target.given(given)
    if not roles:
        roles = Target.from_state(read_state(given.model).get(_ROLES, {}))
    if not roles:
        raise DataError(
            f"{given.model} was not made by `semistruct fit`: say what the target is "
            "by --target, or by --time and --event."
        )
    model, frame, X = _loaded(given)
    target = ss.report(
        model,
        given.out,
        X,
        roles.read(frame),
        title=given.title,
        random_state=given.seed,
    )
    print(f"Wrote {target}.", file=sys.stderr)


def _terms(formulas: list[str]) -> Any:
    """Make the ``terms`` of an estimator: one formula, or several with names."""
    if len(formulas) == 1:
        (only,) = formulas
        if _NAMED.match(only):
            raise DataError(
                f"--formula {only!r} has a left side, which is for several formulas. "
                "Give the terms alone; the outcome is --target, or --time and --event."
            )
        return only
    found: dict[str, str] = {}
    for text in formulas:
        named = _NAMED.match(text)
        if named is None:
            raise ParameterError(
                parameter="--formula",
                owner="semistruct fit",
                allowed="'NAME ~ TERMS' where it is given several times",
                given=text,
                hint="NAME is a distribution parameter such as scale, or a cause.",
            )
        found[named[1].strip("'\"")] = named[2]
    return found


def _estimator(given: Namespace, roles: Target, y: Any) -> type:
    """Choose the estimator by the target."""
    if roles.survival:
        if given.family is not None or given.task is not None:
            raise DataError("--family and --task are for --target, --head for --time.")
        return ss.SemiStructuredSurvival
    if given.head is not None:
        raise DataError("--head is for --time; --family is for --target.")
    if given.task == "classification":
        if given.family is not None:
            raise DataError("--family is for --task regression.")
        return ss.SemiStructuredClassifier
    if given.task is None and given.family is None:
        if not pd.api.types.is_numeric_dtype(y) or pd.api.types.is_bool_dtype(y):
            return ss.SemiStructuredClassifier
        if y.nunique() <= 2:
            raise DataError(
                f"The target {roles.target!r} has the values "
                f"{sorted(y.unique().tolist())}: say --task classification or "
                "--task regression."
            )
    return ss.SemiStructuredRegressor


def _options(given: Namespace) -> dict[str, Any]:
    """Take the options of the estimator that were given."""
    training = {"max_epochs": given.epochs, "device": given.device}
    trained = {name: v for name, v in training.items() if v is not None}
    options = {
        "head": given.head,
        "family": given.family,
        "missing": given.missing,
        "inference": given.inference,
        "training": ss.Training(**trained) if trained else None,
    }
    chosen = {name: value for name, value in options.items() if value is not None}
    return {**chosen, "random_state": given.seed, "progress": sys.stderr.isatty()}


def _loaded(given: Namespace) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """Load the model; read the table, as it is and with the paths of its images."""
    model = ss.load(given.model)
    path = Path(given.table)
    frame = read_table(path)
    terms = model.terms_ if isinstance(model.terms_, dict) else {None: model.terms_}
    return model, frame, resolve_paths(frame, image_columns(terms), path.parent)


def _predictions(model: Any, X: pd.DataFrame, given: Namespace) -> pd.DataFrame:
    """Predict what the kind of model predicts."""
    survival = isinstance(model, ss.SemiStructuredSurvival)
    if given.times is not None and not survival:
        raise DataError(f"--times is for survival models, not {type(model).__name__}.")
    if given.interval is not None and (survival or hasattr(model, "classes_")):
        raise DataError(f"--interval is for regression, not {type(model).__name__}.")
    if survival:
        return _survival(model, X, given.times)
    if hasattr(model, "classes_"):
        values = model.predict_proba(X)
        names = [f"probability_{label}" for label in model.classes_]
        found = pd.DataFrame(values, index=X.index, columns=names)
        found.insert(0, "prediction", model.predict(X))
        return found
    values = model.predict(X, interval=given.interval)
    if isinstance(values, pd.DataFrame):
        return values.rename(columns={"mean": "prediction"})
    if np.ndim(values) == 2:
        names = [f"probability_{k}" for k in range(values.shape[1])]
        return pd.DataFrame(values, index=X.index, columns=names)
    return pd.DataFrame({"prediction": values}, index=X.index)


def _survival(model: Any, X: pd.DataFrame, times: list[float] | None) -> pd.DataFrame:
    """Predict risks, and curves at times; an empty median is not reached."""
    causes = list(model.curves_.causes)
    risk = np.reshape(model.predict(X), (len(X), -1))
    names = [f"risk_{cause}" for cause in causes] or ["risk"]
    parts = [pd.DataFrame(risk, index=X.index, columns=names)]
    if times is None:
        if not causes:
            median = model.predict_quantile(X, 0.5).iloc[:, 0]
            parts.append(median.where(np.isfinite(median)).rename("median").to_frame())
        return pd.concat(parts, axis=1)
    curves = {"survival": model.predict_survival_function(X, times=times)}
    if causes:
        found = model.predict_cumulative_incidence_function(X, times=times)
        curves |= {f"incidence_{cause}": curve for cause, curve in found.items()}
    for name, curve in curves.items():
        columns = [f"{name}_{time:g}" for time in times]
        parts.append(pd.DataFrame(curve.values, index=X.index, columns=columns))
    return pd.concat(parts, axis=1)


def _flat(terms: pd.DataFrame) -> pd.DataFrame:
    """Name the columns of the terms by one text each."""
    names = [": ".join(map(str, c)) if isinstance(c, tuple) else c for c in terms]
    return terms.set_axis([f"term {name}" for name in names], axis=1)


def _ready(path: str) -> str:
    """Make the folder of a file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return path
