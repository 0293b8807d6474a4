"""A page holds what was put in, escaped, and needs no network."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from semistruct.reporting import Page


def test_page_holds_what_was_put_in(tmp_path):
    figure = Figure()
    figure.subplots().plot([1, 2])
    page = Page("A <b>title</b>").heading("One").text("x < y").code("1 & 2")
    page.table(pd.DataFrame({"score": [0.12345]}, index=["a<b"]))
    page.figure(figure, 'a "curve"')
    target = page.write(tmp_path / "new" / "page.html")
    text = target.read_text(encoding="utf-8")
    assert "<h1>A &lt;b&gt;title&lt;/b&gt;</h1>" in text
    assert "x &lt; y" in text
    assert "1 &amp; 2" in text
    assert "0.123" in text
    assert "a&lt;b" in text
    assert 'alt="a &quot;curve&quot;"' in text
    assert "data:image/png;base64,iVBOR" in text
    assert "http" not in text.replace("http-equiv", "")
