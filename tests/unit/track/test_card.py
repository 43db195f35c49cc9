"""The card: what a person sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from postgres_ml.track.card import pages, readings
from postgres_ml.track.card.pages import Section
from postgres_ml.track.plots import style


def test_the_card_shows_text_as_it_is_in_both_forms(tmp_path: Path) -> None:
    picture = tmp_path / "roc.png"
    picture.write_bytes(b"png")
    parts = [
        Section("Labels", rows=[("label", "n"), ("<b>|x|", "1,000")], images=[(picture, "caption <i>")]),
        Section("Notes", texts=["a & b"], items=["a *star* and a `tick`"]),
        Section("Query", codes=[("sql", "select '```' as \"$$\"")], is_folded=True),
    ]
    markdown = pages.markdown("ml.churn", "lead", parts)
    assert "| &lt;b&gt;\\|x\\| | 1,000 |" in markdown
    assert "- a \\*star\\* and a \\`tick\\`" in markdown
    assert "````sql\nselect '```'" in markdown and "![caption &lt;i&gt;](plots/roc.png)" in markdown
    page = pages.to_html("ml.churn", "lead", parts)
    assert "<td>&lt;b&gt;|x|</td><td class=number>1,000</td>" in page
    assert "base64,cG5n" in page and "<b>" not in page and "<i>" not in page
    assert "<p>a &amp; b</p>" in page and "<details><summary><h2>Query" in page


def test_a_few_outliers_do_not_squeeze_a_picture() -> None:
    values = np.append(np.linspace(0, 1, 999), 1e6)
    low, high = style.limits(values)
    assert -0.2 < low < 0 and 1 < high < 1.3
    assert style.limits(np.linspace(0, 1, 10)) == (-0.03, 1.03) and style.limits(np.ones(3)) == (0, 2)


def test_long_names_keep_their_ends() -> None:
    assert style.short("sales_in_the_last_30_days", 14) == "sales_in_…days"
    assert style.short("a$b\n") == r"a\$b " and style.short("") == "''"


def test_numbers_on_the_card_are_short() -> None:
    assert [readings.number(v) for v in (0.884615384, 303402.6911, 12.0, 0.0, float("nan"))] == [
        "0.88462",
        "303,403",
        "12",
        "0",
        "–",
    ]


@pytest.mark.parametrize("value", [0.5, -1e6, 5.04e-05, 2e300, float("nan")])
def test_numbers_on_the_card_are_aligned(value: float) -> None:
    page = pages.to_html("", "", [pages.Section("a", rows=[("n",), (readings.number(value),)])])
    assert page.count("class=number") == 2
