"""Pages about fitted models: self-contained HTML, no network."""

from semistruct.reporting._page import Page

__all__ = ["Page"]
