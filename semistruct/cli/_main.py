"""The command line's entry, and its exit codes."""

from __future__ import annotations

import sys
import warnings
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semistruct.exceptions import SemistructError

from ._parser import make_parser

__all__ = ["main"]


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
    parser = make_parser()
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.print_help()
        return 2
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            _run(given)
    except (SemistructError, OSError) as error:
        print(f"semistruct: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("semistruct: stopped.", file=sys.stderr)
        return 130
    return 0


def _run(given: Namespace) -> None:
    if given.command == "demo":
        from semistruct.cli._demo import run_demo

        run_demo(Path(given.out), n=given.rows, seed=given.seed)
        return
    from semistruct.cli import _commands

    run = {
        "fit": _commands.run_fit,
        "predict": _commands.run_predict,
        "report": _commands.run_report,
    }
    run[given.command](given)


def _show_warning(message: Any, category: type, *rest: Any) -> None:
    print(f"semistruct: {_one_line(message)}", file=sys.stderr)


def _one_line(message: Any) -> str:
    """Join the lines of a message, but for carets that point to the line above."""
    lines = [line.strip() for line in str(message).splitlines()]
    return " ".join(line for line in lines if line.strip("^"))
