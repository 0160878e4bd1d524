"""docs/strictness.md lists what the differential tests provoke, no less and no more."""

import re
from pathlib import Path

from tests.property import test_differential_encodings as encodings
from tests.property import test_differential_signatures as signatures

PAGE = Path(__file__).parents[2] / "docs" / "strictness.md"


def test_the_page_has_a_row_for_each_difference():
    table = PAGE.read_text(encoding="utf-8").partition("## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", table, re.MULTILINE)
    assert rows[0] == ("library", "takes, and we refuse")
    assert rows[1:] == [*encodings.ROWS, *signatures.ROWS]
