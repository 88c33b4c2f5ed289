"""Write the table of families into docs/families.md from ``redviz.models.families``, so that the two never disagree."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # a checkout need not be installed

from redviz.models.families.table import ABOUT  # noqa: E402

PAGE = ROOT / "docs" / "families.md"
BAR = "\\|"
START, END = "<!-- the table of adapters: tools/make_family_table.py writes it -->\n", "<!-- end of the table -->\n"
HEAD = "| Family | How it is read | Text, and who says so | Prefix scores | Follows | Verified |\n|---|---|---|---|---|---|\n"


def family_table() -> str:
    """One row per adapter."""
    rows = [[f"`{name}` {f.title}", f.about, f.text, f.curve, f.source, f.verified] for name, f in ABOUT.items()]
    return HEAD + "".join(f"| {' | '.join(cell.replace('|', BAR) for cell in row)} |\n" for row in rows)


def page_with(table: str, page: str) -> str:
    """The page with its table replaced."""
    before, rest = page.split(START)
    return before + START + table + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page_with(family_table(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
