"""Write the table of methods into docs/methods.md from ``redviz.methods()``, so that the two never disagree."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # a checkout need not be installed

import redviz  # noqa: E402

PAGE = ROOT / "docs" / "methods.md"
BAR = "\\|"
START, END = "<!-- the table of methods: tools/make_method_table.py writes it -->\n", "<!-- end of the table -->\n"
HEAD = (
    "| Method | Credit of token t | Source | Cost | Causal or hindsight | Sums to | Invariant to R + c | Tested identity |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def method_table() -> str:
    """One row per method, family by family."""
    rows = [
        [
            f"`{name}` {info.label}",
            info.formula,
            info.paper,
            info.cost,
            "causal" if info.causal else "hindsight",
            info.sums_to,
            "yes" if info.shift_invariant else "no",
            info.identity,
        ]
        for name, info in redviz.methods().items()
    ]
    return HEAD + "".join(f"| {' | '.join(cell.replace('|', BAR) for cell in row)} |\n" for row in rows)


def page_with(table: str, page: str) -> str:
    """The page with its table replaced."""
    before, rest = page.split(START)
    return before + START + table + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page_with(method_table(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
