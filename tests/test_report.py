"""Tables and the report: full precision in the CSV, escaped text in the page, a single file."""

from __future__ import annotations

import csv
import html.parser

import pytest
from PIL import Image

from facekit.errors import InputError
from facekit.report import Table, write_report

TABLE = Table(
    {"row": ("", 0), "moved": ("mm", 2), "flicker": ("", 3)},
    [{"row": "a <b> & c", "moved": 1.23456}, {"row": "d", "moved": 0.0, "flicker": 0.5, "whole": True}],
)


class Checker(html.parser.HTMLParser):
    """Sees that tags close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_text_and_html_of_a_table():
    assert TABLE.texts() == [["a <b> & c", "1.23", ""], ["d", "0.00", "0.500"]]
    assert "1.23" in str(TABLE)
    page = TABLE._repr_html_()
    assert "a &lt;b&gt; &amp; c" in page
    assert page.count('class="whole"') == 1
    assert page.count('<td class="name">') == 2, "names stand left, figures right"


def test_the_csv_has_the_whole_numbers(tmp_path):
    path = TABLE.save(tmp_path / "t.csv")
    rows = list(csv.reader(path.open(encoding="utf-8")))
    assert rows == [["row", "moved (mm)", "flicker"], ["a <b> & c", "1.23456", ""], ["d", "0.0", "0.5"]]
    with pytest.raises(InputError, match=".csv"):
        TABLE.save(tmp_path / "t.txt")


def test_a_report_is_one_well_formed_file(tmp_path):
    sections = [("Faces & more", Image.new("RGB", (20, 10))), ("Figures", TABLE), ("Words", {"x < y": "it's so"})]
    path = write_report(tmp_path / "r.html", 'A "title" <here>', sections, "a note")
    text = path.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert checker.seen.count("img") == 1
    assert "A &quot;title&quot; &lt;here&gt;" in text
    assert 'src="data:image/jpeg;base64,' in text
    assert "http" not in text
    with pytest.raises(InputError, match=".html"):
        write_report(tmp_path / "r.pdf", "t", [])
