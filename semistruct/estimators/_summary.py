"""What a fitted model says: coefficients, smooths, deep terms, what they rest on."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from semistruct.design import StructuredDesign
from semistruct.inference import coefficient_table, smooth_table

from ._additive import DeepPart
from ._compare import residual_df

__all__ = ["Summary", "summarize"]

_WIDTH = 78


@dataclass(frozen=True, repr=False)
class Summary:
    """Tables of a fitted model; prints as text.

    Attributes
    ----------
    title : str
        Estimator and head.
    formula : str
        The terms.
    statistics : dict of str to float
        Number of rows, log-likelihood, dispersion and so on.
    coefficients : DataFrame
        A row for each parametric coefficient: estimate, standard error, z or t, p and
        interval; for Cox and logistic models the exponentiated estimate too.
    smooths : DataFrame
        A row for each smooth or random term: effective degrees of freedom and test.
    deep : DataFrame
        A row for each deep term: its share Cov(d, η) / Var(η) over the rows of fit, the
        latents, the trained weights, and what it is orthogonal to.
    notes : tuple of str
        What the standard errors condition on, and warnings.
    """

    title: str
    formula: str
    statistics: dict[str, float]
    coefficients: pd.DataFrame
    smooths: pd.DataFrame
    deep: pd.DataFrame
    notes: tuple[str, ...] = field(default=())

    def as_text(self) -> str:
        """Give the summary as text, in the manner of statsmodels."""
        rule = "=" * _WIDTH
        head = [self.title.center(_WIDTH).rstrip(), rule]
        formula = textwrap.wrap(
            f"Terms: {self.formula}", _WIDTH, subsequent_indent=" " * 7
        )
        body = [str(table) for table in self._tables()]
        notes = [
            textwrap.fill(f"[{i}] {note}", _WIDTH, subsequent_indent="    ")
            for i, note in enumerate(self.notes, 1)
        ]
        lines = [*head, *formula, *self._statistic_lines(), *body]
        return "\n".join([*lines, *(["Notes:", *notes] if notes else [])])

    def as_html(self) -> str:
        """Give the tables as HTML."""
        return "\n".join(table.as_html() for table in self._tables())

    def as_latex(self) -> str:
        """Give the tables as LaTeX."""
        return "\n".join(table.as_latex_tabular() for table in self._tables())

    def _statistic_lines(self) -> list[str]:
        """Lay the statistics out in two columns."""
        items = [f"{k}: {_number(v)}" for k, v in self.statistics.items()]
        half = -(-len(items) // 2)
        right = [*items[half:], *[""] * (2 * half - len(items))]
        pairs = zip(items[:half], right, strict=True)
        return [f"{a:<{_WIDTH // 2}}{b}".rstrip() for a, b in pairs]

    def _tables(self) -> list[Any]:
        from statsmodels.iolib.table import SimpleTable
        from statsmodels.iolib.tableformatting import fmt_params

        named = {
            "Coefficients": self.coefficients,
            "Smooth and random terms": self.smooths,
            "Deep terms": self.deep,
        }
        narrow = fmt_params | {"colwidths": 8, "colsep": "  ", "data_fmts": ["%s"]}
        tables = []
        for title, frame in named.items():
            if len(frame):
                cells = [
                    [
                        _cell(value, str(name))
                        for name, value in zip(frame, row, strict=True)
                    ]
                    for row in frame.itertuples(index=False)
                ]
                stubs = [_stub(label) for label in frame.index]
                headers = [str(name) for name in frame.columns]
                tables.append(SimpleTable(cells, headers, stubs, title, txt_fmt=narrow))
        return tables

    def __str__(self) -> str:
        return self.as_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.as_html()


def summarize(model: Any) -> Summary:
    """Make the summary of a fitted estimator."""
    fit, designs = model.exact_, model.predictor_.designs
    parametric = [
        at.start + j
        for at, design in zip(fit.slices, designs, strict=True)
        for block in design.blocks
        if block.kind in ("intercept", "parametric")
        for j in range(block.start, block.stop)
    ]
    at = np.asarray(parametric, dtype=np.int64)
    names = model._coefficient_names()[at]
    residual = residual_df(model)
    coefficients = coefficient_table(
        names, fit.coef[at], fit.cov[np.ix_(at, at)], df_residual=residual
    )
    if model._ratio is not None:
        ratio = np.exp(coefficients["coef"]).where(_has_ratio(names, model._ratio_of))
        coefficients.insert(1, model._ratio, ratio)
    return Summary(
        title=model._title(),
        formula=model._formula(),
        statistics=_statistics(model),
        coefficients=coefficients,
        smooths=smooth_table(
            fit, [d.blocks for d in designs], residual, model._predictor_names()
        ),
        deep=_deep(model),
        notes=_notes(model),
    )


def _has_ratio(names: pd.Index, of: str | None) -> np.ndarray:
    """Say which coefficients compare rows: no intercepts; ``of`` is a predictor."""
    found = names.get_level_values(-1) != "Intercept"
    return found if of is None else found & (names.get_level_values(0) == of)


def _statistics(model: Any) -> dict[str, float]:
    fit = model.exact_
    out: dict[str, float] = {"Rows": model.n_rows_}
    if hasattr(model, "n_events_"):
        out["Events"] = model.n_events_
    out["Log-likelihood"] = fit.loglik
    out["Effective df"] = fit.edf.sum() + model.inference_.total_edf
    counted = not model.predictor_.parts or model.inference_.deep_edf
    if "Events" in out and counted and out["Effective df"] > 0:
        out["Events per df"] = out["Events"] / out["Effective df"]
    if model.deviances_ is not None and model.deviances_[1] > 0:
        out["Deviance explained"] = 1 - model.deviances_[0] / model.deviances_[1]
    if len(fit.sp):
        out[f"{fit.method} score"] = fit.score
    if model._has_dispersion():
        out["Dispersion"] = fit.dispersion
    shapes = zip(fit.shape_names, np.atleast_1d(fit.shape_values), strict=True)
    out |= {f"Shape {name}": float(value) for name, value in shapes}
    if "validation_loss" in model.history_:
        best = model.history_["validation_loss"].idxmin()
        out["Best epoch"] = int(model.history_["epoch"][best])
    return out


def _deep(model: Any) -> pd.DataFrame:
    predictor = model.predictor_
    names = model._predictor_names()
    rows, index = [], []
    for name, part in predictor.parts.items():
        weights = predictor.network.encoder(name).parameters()
        trained = sum(w.numel() for w in weights) + part.weight.size
        for t, k in enumerate(part.targets):
            share = model.deep_share_[part.term.label][t]
            against = _against(part, predictor.designs[k])
            rows.append((share, len(part.weight) - 1, trained, against))
            many = len(names) > 1
            label = part.term.label
            index.append(f"{names[k]}: {label}" if many else label)
    columns = ["share", "latents", "weights", "orthogonal to"]
    table = pd.DataFrame(rows, columns=columns, index=index)
    edf = model.inference_.deep_edf
    if edf:
        labels = [p.term.label for p in predictor.parts.values()]
        table.insert(1, "edf", [value for label in labels for value in edf[label]])
    return table


def _against(part: DeepPart, design: StructuredDesign) -> str:
    if not part.projections:
        return "nothing"
    kinds = ("intercept", "random")
    labels = [b.label for b in design.blocks if b.kind not in kinds]
    return ", ".join(labels) if labels else "a constant"


def _notes(model: Any) -> tuple[str, ...]:
    notes = []
    if model.predictor_.parts:
        report = model.inference_
        notes += report.notes()
        if model._has_dispersion() and report.inference == "cross_fit":
            notes.append("The dispersion is that of rows out of their fold.")
        elif model._has_dispersion():
            held_out = "validation_loss" in model.history_
            notes.append(
                "The dispersion is that of the rows that early stopping held out."
                if held_out
                else "The dispersion is that of rows that trained the deep terms, so "
                "it and the standard errors are too small."
            )
        projected = [bool(p.projections) for p in model.predictor_.parts.values()]
        if report.estimand == "adjusted":
            notes.append(
                "Estimand: adjusted. A coefficient is the effect of its covariate at "
                "fixed deep features; deep terms are not orthogonal to the table."
            )
        elif all(projected):
            notes.append(
                "Estimand: projection. Deep terms are orthogonal to the structured "
                "columns: a coefficient is the effect of its covariate without "
                "adjustment for the deep terms (the total effect)."
            )
        else:
            notes.append(
                "Deep terms are not orthogonalised: they may take over what the "
                "structured columns explain, and coefficients may mean little."
            )
    if model.predictor_.parts:
        notes += model.inference_.share_note()
    if not model.exact_.converged:
        notes.append(f"Not converged: {model.exact_.message}")
    return tuple(notes)


def _stub(label: Any) -> str:
    return ": ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _cell(value: Any, column: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if value is None or np.isnan(value):
        return ""
    if column.startswith(("P>", "p")):
        return f"{value:.3f}"
    return _number(value)


def _number(value: float) -> str:
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    size = abs(value)
    return f"{value:.4f}" if 1e-3 <= size < 1e5 or size < 1e-12 else f"{value:.4g}"
