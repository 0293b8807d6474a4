"""A self-contained HTML page of text, tables and pictures."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["Page"]

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff;
       max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.8rem; } h2 { font-size: 1.3rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .95rem; }
th, td { padding: .25rem .9rem; text-align: right; border-bottom: 1px solid #ddd; }
thead th { border-bottom: 2px solid #444; } tbody th { text-align: left; }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: .85rem; }
img { max-width: 100%; } figcaption { color: #444; font-size: .9rem; }
figure { margin: 1rem 0; } .wide { overflow-x: auto; }
nav { margin: 1rem 0 0; font-size: .95rem; } nav a { margin-right: 1rem; }
a { color: #0b5cad; } li { margin: .3rem 0; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e6e6; background: #16181c; } pre { background: #22252b; }
  th, td { border-color: #3a3d44; } figcaption { color: #b5b5b5; }
  img { background: #fff; border-radius: 4px; } a { color: #7db7f0; }
  thead th { border-color: #9aa0a8; }
}
"""


class Page:
    """A page that is built from top to bottom and written at the end.

    Parameters
    ----------
    title : str
        Title and first heading.

    Examples
    --------
    >>> from semistruct.reporting import Page
    >>> page = Page("Results").text("One model.")
    >>> "<h1>Results</h1>" in page.html()
    True
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._body: list[str] = []
        self._headings: list[str] = []

    def heading(self, text: str) -> Page:
        """Add a heading of the second level; a page of several begins with links."""
        self._headings.append(text)
        number = len(self._headings)
        self._body.append(f'<h2 id="part{number}">{html.escape(text)}</h2>')
        return self

    def text(self, text: str) -> Page:
        """Add a paragraph."""
        self._body.append(f"<p>{html.escape(text)}</p>")
        return self

    def code(self, text: str) -> Page:
        """Add text as it is, in a fixed font."""
        self._body.append(f"<pre>{html.escape(text)}</pre>")
        return self

    def items(self, texts: Iterable[str]) -> Page:
        """Add a list."""
        rows = "\n".join(f"<li>{html.escape(text)}</li>" for text in texts)
        self._body.append(f"<ul>\n{rows}\n</ul>")
        return self

    def table(self, frame: pd.DataFrame, digits: int = 3) -> Page:
        """Add a table; numbers are rounded to some digits."""
        shown = frame.to_html(
            float_format=lambda x: f"{x:.{digits}f}", na_rep="", border=0, escape=True
        )
        self._body.append(f'<div class="wide">{shown}</div>')
        return self

    def figure(self, figure: Any, caption: str) -> Page:
        """Add a matplotlib figure as an embedded picture, with its caption."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=144)
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        words = html.escape(caption)
        width = round(96 * figure.get_figwidth())  # of an inch in a browser
        self._body.append(
            f'<figure><img alt="{words}" width="{width}" '
            f'src="data:image/png;base64,{data}">'
            f"<figcaption>{words}</figcaption></figure>"
        )
        return self

    def html(self) -> str:
        """Give the whole page."""
        title = html.escape(self.title)
        body = "\n".join([*self._contents(), *self._body])
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{_STYLE}</style></head>\n"
            f"<body><h1>{title}</h1>\n{body}\n</body></html>\n"
        )

    def _contents(self) -> list[str]:
        """Give links to the headings, where there are more than four."""
        if len(self._headings) <= 4:
            return []
        links = [
            f'<a href="#part{i}">{html.escape(text)}</a>'
            for i, text in enumerate(self._headings, 1)
        ]
        return [f"<nav>{chr(10).join(links)}</nav>"]

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to a file; its folder is made if it is not there."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.html(), encoding="utf-8")
        return target
