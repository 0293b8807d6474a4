"""The command line: ``semistruct demo``."""

from semistruct.cli._main import main

__all__ = ["main"]
