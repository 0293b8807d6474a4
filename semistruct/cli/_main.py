"""Arguments of the command line, and its exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import semistruct
from semistruct.exceptions import SemistructError

__all__ = ["main"]

_EPILOG = """\
exit codes: 0 all went well; 1 an error of the data or the model, told on stderr;
2 wrong arguments; 130 stopped by Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands behind ``semistruct``; the process's own by default.

    Returns
    -------
    int
        Exit code.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.print_help()
        return 2
    try:
        from semistruct.cli._demo import run_demo

        run_demo(Path(given.out), n=given.rows, seed=given.seed)
    except SemistructError as error:
        print(f"semistruct: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("semistruct: stopped.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="semistruct",
        description="Tables and images in one interpretable model.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"semistruct {semistruct.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
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
    return parser
