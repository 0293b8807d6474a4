"""The arguments of the command line, and its help."""

from __future__ import annotations

import argparse
from typing import Any

import semistruct

__all__ = ["make_parser"]

_EPILOG = """\
a whole session:
  semistruct fit patients.csv --formula "age + C(stage) + s(bmi) + image(scan)" \\
      --time months --event died --out model
  semistruct predict model new_patients.csv --times 12,24 --out predictions.csv
  semistruct report model held_out.csv --out report.html

`semistruct COMMAND --help` tells about each command.

exit codes: 0 all went well; 1 an error of the data or the model, told on stderr;
2 wrong arguments; 130 stopped by Ctrl-C."""

_FIT = """\
terms of a formula, joined by +:
  age  C(stage)  age:C(stage)  np.log(dose)   linear terms and factors
  s(bmi)  s(bmi, k=20)  te(x, z)              smooth curves and surfaces
  re(hospital)                                random intercepts
  image(scan)  image(scan, encoder='resnet18')
                                              a column of paths to images
  omics("rna_*")  text(letter)  tabular(a, b) other columns through a network
  names with spaces stand in backticks: `blood pressure`

examples:
  a number:      semistruct fit houses.csv --formula "s(area) + image(photo)" \\
                     --target price --out model
  counts:        … --target visits --family poisson
  a label:       … --target diagnosis
  0 and 1:       … --target died --task classification
  spread, too:   … --target price --formula "loc ~ s(area)" --formula "scale ~ area"
  survival:      … --time months --event died
  causes:        … --time months --cause cause   (an empty cell is censored)
  time-varying:  … --time months --event died --head pamm \\
                     --formula "s(time) + s(time, by=age)"

Paths of images are relative to the folder of the table; an empty cell is a missing
image. The summary is printed on stdout. The model is a folder without code in it; load
it in Python by `semistruct.load("model")`."""

_PREDICT = """\
what is written, beside the number of the row from 0:
  regression      prediction (the mean); lower, upper with --interval
  classification  prediction, and probability_<class> of each class
  survival        risk (higher for an earlier event) and median (empty if the curve
                  stays above one half); with --times survival_<time>
  causes          risk_<cause>; with --times survival_<time>, incidence_<cause>_<time>
  --terms         term <name>: what each term adds to the linear predictor

examples:
  semistruct predict model new.csv > predictions.csv
  semistruct predict model new.csv --times 12,24,60 --keep patient --out p.csv
  semistruct predict model new.csv --interval 0.9 --terms"""

_REPORT = """\
The page needs no network: data, coefficients, curves, scores with intervals,
calibration, and single rows taken apart. Rows that the model was not fitted to make its
scores honest; the page says if they are those of the fit.

The target's columns are those of `semistruct fit`; for a model that was saved in Python
say them again.

examples:
  semistruct report model held_out.csv --out report.html
  semistruct report model held_out.csv --time months --event died --out report.html"""


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands.

    Returns
    -------
    ArgumentParser
    """
    parser = _new(
        argparse.ArgumentParser,
        prog="semistruct",
        description="Tables and images in one interpretable model.",
        epilog=_EPILOG,
    )
    version = f"semistruct {semistruct.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_demo(commands)
    _add_fit(commands)
    _add_predict(commands)
    _add_report(commands)
    return parser


def _new(make: Any, *name: str, **options: Any) -> argparse.ArgumentParser:
    return make(*name, formatter_class=argparse.RawDescriptionHelpFormatter, **options)


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="fit a survival model and a regression on real scans",
        description="Fits a semi-structured survival model and a semi-structured "
        "regression on the handwritten digits that scikit-learn ships, with simulated "
        "covariates and outcomes of known truth; prints estimates beside the truth and "
        "held-out scores, and writes pictures and a page.",
    )
    demo.add_argument("--out", default="demo", help="folder to write (default: demo)")
    demo.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    demo.add_argument("--rows", type=int, default=1600, help="rows to simulate")


def _add_fit(commands: Any) -> None:
    fit = _new(
        commands.add_parser,
        "fit",
        help="fit a model to a table and save it",
        description="Fits a model to a table (.csv, .tsv or .parquet), prints its "
        "summary and saves it.",
        epilog=_FIT,
    )
    fit.add_argument("table", help="the table; a row for each patient, house or field")
    fit.add_argument(
        "--formula",
        action="append",
        required=True,
        metavar="TERMS",
        help="the terms; several times as 'NAME ~ TERMS' for several parameters of a "
        "distribution, or for several causes",
    )
    _add_target(fit)
    fit.add_argument(
        "--task",
        choices=["regression", "classification"],
        help="what to do with --target (default: classification for labels, regression "
        "for numbers; must be given for two numbers)",
    )
    fit.add_argument(
        "--family",
        help="distribution of a number: gaussian (default), poisson, gamma, "
        "negative_binomial, beta, tweedie, …",
    )
    fit.add_argument(
        "--head",
        help="survival model: cox (default), pamm, discrete, weibull, lognormal, "
        "loglogistic, exponential",
    )
    fit.add_argument(
        "--missing",
        choices=["error", "drop", "indicator"],
        help="what an empty cell of a linear or smooth term is: an error (default), a "
        "row to leave out, or a level of its own",
    )
    fit.add_argument(
        "--inference",
        choices=["conditional", "last_layer", "cross_fit", "bootstrap"],
        help="what standard errors know of networks (default: conditional, nothing)",
    )
    fit.add_argument("--epochs", type=int, help="epochs of training, at most")
    fit.add_argument("--device", help="cpu, cuda, … (default: cuda if it is there)")
    _add_seed(fit)
    fit.add_argument("--out", required=True, metavar="FOLDER", help="where to save it")


def _add_predict(commands: Any) -> None:
    predict = _new(
        commands.add_parser,
        "predict",
        help="predict rows of a table",
        description="Predicts rows of a table, which needs the columns of the terms "
        "only, and writes CSV.",
        epilog=_PREDICT,
    )
    _add_model_and_table(predict)
    predict.add_argument(
        "--times", type=_times, metavar="T,T,…", help="where to evaluate curves"
    )
    predict.add_argument(
        "--interval", type=float, metavar="LEVEL", help="add prediction intervals"
    )
    predict.add_argument(
        "--terms", action="store_true", help="add what each term contributes"
    )
    predict.add_argument(
        "--keep",
        type=_names,
        default=[],
        metavar="COLUMN,…",
        help="columns of the table to copy, such as an identifier",
    )
    predict.add_argument("--out", metavar="FILE", help="CSV (default: stdout)")


def _add_report(commands: Any) -> None:
    report = _new(
        commands.add_parser,
        "report",
        help="write a page about a model",
        description="Writes a page about a model and rows whose target is known.",
        epilog=_REPORT,
    )
    _add_model_and_table(report)
    _add_target(report)
    report.add_argument("--title", help="title of the page")
    _add_seed(report)
    report.add_argument("--out", required=True, metavar="FILE", help="the page, .html")


def _add_model_and_table(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="folder that `semistruct fit` or save() wrote")
    parser.add_argument("table", help="the table, .csv, .tsv or .parquet")


def _add_target(parser: argparse.ArgumentParser) -> None:
    target = parser.add_argument_group("the target")
    column: dict[str, Any] = {"metavar": "COLUMN"}
    target.add_argument("--target", help="a number or a label", **column)
    target.add_argument("--time", help="a survival time", **column)
    target.add_argument(
        "--event",
        help="whether the event was seen, 0/1 (default: it always was)",
        **column,
    )
    target.add_argument(
        "--cause", help="its cause, where events compete; empty if censored", **column
    )
    target.add_argument("--entry", help="late entry, less than the time", **column)


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")


def _times(text: str) -> list[float]:
    times = sorted({float(part) for part in text.split(",")})
    if times[0] < 0:
        raise argparse.ArgumentTypeError(f"times are not negative: {text!r}")
    return times


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
