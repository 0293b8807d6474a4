"""Pages about fitted models: self-contained HTML, no network."""

from semistruct.reporting._page import Page
from semistruct.reporting._report import report

__all__ = ["Page", "report"]
