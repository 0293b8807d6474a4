"""The command line: ``semistruct demo``, ``fit``, ``predict`` and ``report``."""

from semistruct.cli._main import main

__all__ = ["main"]
