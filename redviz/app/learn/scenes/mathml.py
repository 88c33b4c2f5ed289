"""The scenes' formulas as MathML, which browsers draw and print by themselves: the part of LaTeX that the scenes write."""

from __future__ import annotations

import re

from redviz.errors import RedvizError
from redviz.view.escape import escape, tag

TOKENS = re.compile(r"\\[a-zA-Z]+|\\.|\d+(?:\.\d+)?|\s+|.", re.DOTALL)
SPACING = re.compile(r"\\\\\[\w+\]")  # \\[6pt]
LETTERS = {
    r"\alpha": "α", r"\beta": "β", r"\gamma": "γ", r"\delta": "δ", r"\lambda": "λ", r"\pi": "π", r"\phi": "φ", r"\sigma": "σ",
    r"\varepsilon": "ε", r"\ell": "ℓ", r"\Delta": "Δ", r"\nabla": "∇", r"\varnothing": "∅", r"\log": "log",
}  # fmt: skip
SIGNS = {
    r"\ge": "≥", r"\le": "≤", r"\ne": "≠", r"\in": "∈", r"\cdot": "·", r"\Rightarrow": "⇒", r"\mid": "∣", r"\|": "∥", r"\lVert": "‖",
    r"\rVert": "‖", r"\setminus": "∖", r"\sum": "∑", r"\int": "∫", "-": "−",
}  # fmt: skip
SPACES = {r"\,": "0.17em", r"\ ": "0.3em", r"\quad": "1em", r"\qquad": "2em"}
OVER = {r"\bar": "¯", r"\hat": "^"}


def mathml(latex: str, display: bool = False) -> str:
    """A formula as a ``math`` element.

    Raises
    ------
    RedvizError
        For a command that is not known here.

    Examples
    --------
    >>> mathml("P_0")
    '<math><mrow><msub><mi>P</mi><mn>0</mn></msub></mrow></math>'
    """
    formula = _Formula(SPACING.sub(r"\\\\", latex), display)
    made = formula.row(())
    return tag("math", made, display="block" if display else None)


class _Formula:
    """Reads one formula from left to right."""

    def __init__(self, latex: str, display: bool) -> None:
        self.tokens = [t for t in TOKENS.findall(latex) if not t.isspace()]
        self.spaced = TOKENS.findall(latex)  # \text keeps its blanks
        self.at, self.display = 0, display

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def row(self, ends: tuple[str, ...]) -> str:
        """Everything up to one of the ends, which is left there."""
        made = []
        while self.peek() and self.peek() not in ends:
            made.append(self.scripted())
        return tag("mrow", "".join(made))

    def scripted(self) -> str:
        """An atom with what stands below and above it."""
        large = self.peek() == r"\sum" and self.display
        base, below, above = self.atom(), "", ""
        while self.peek() in ("_", "^"):
            if self.take() == "_":
                below = self.atom()
            else:
                above = self.atom()
        kinds = ("munder", "mover", "munderover") if large else ("msub", "msup", "msubsup")
        if below and above:
            return tag(kinds[2], base + below + above)
        return tag(kinds[0], base + below) if below else tag(kinds[1], base + above) if above else base

    def atom(self) -> str:
        token = self.take()
        if token == "{":
            made = self.row(("}",))
            self.take()
            return made
        if token in (r"\frac", r"\tfrac"):
            return tag("mfrac", "".join(self.arguments()))
        if token in OVER:
            return tag("mover", self.atom() + tag("mo", OVER[token]), accent="true")
        if token in (r"\text", r"\mathrm", r"\operatorname"):
            return tag("mtext" if token == r"\text" else "mi", escape(self.words()), mathvariant="normal")
        if token == r"\begin":
            return self.table(self.words())
        if token == r"\textstyle":
            self.display = False
            return ""
        if token == r"\big":
            return tag("mo", escape(self.take()), stretchy="false", minsize="1.3em")
        if token in SPACES:
            return tag("mspace", width=SPACES[token])
        if token in LETTERS:
            return tag("mi", LETTERS[token])
        if token in SIGNS:
            return tag("mo", SIGNS[token], stretchy="false")
        if token.startswith("\\"):
            raise RedvizError(
                f"{token} is not known to the handout's formulas; add it to redviz/app/learn/scenes/mathml.py."
            )
        if token[0].isdigit():
            return tag("mn", token)
        return tag("mi", token) if token.isalpha() else tag("mo", escape(token), stretchy="false")

    def arguments(self) -> tuple[str, str]:
        r"""Two of them: in braces, or two digits, as in ``\tfrac12``."""
        if len(digits := self.peek()) == 2 and digits.isdigit():
            self.take()
            return tag("mn", digits[0]), tag("mn", digits[1])
        return self.atom(), self.atom()

    def words(self) -> str:
        """What stands in braces, as it is."""
        self.take()
        made = []
        while (token := self.take()) != "}":
            made.append(token)
        return " ".join(re.findall(r"[a-zA-Z]+", _with_blanks(self.spaced, made)))

    def table(self, kind: str) -> str:
        """Rows of ``gathered``, or of ``cases`` behind a brace."""
        display, rows, cells = self.display, [], []
        while True:
            self.display = display
            cells.append(tag("mtd", self.row(("&", r"\\", r"\end"))))
            end = self.take()
            if end != "&":
                rows.append(tag("mtr", "".join(cells)))
                cells = []
            if end == r"\end":
                self.words()
                break
        left = "; text-align: left" if kind == "cases" else ""
        made = tag("mtable", "".join(rows), displaystyle="true" if display else None, style=f"row-gap: 6px{left}")
        return tag("mrow", tag("mo", "{", stretchy="true") + made) if kind == "cases" else made


def _with_blanks(spaced: list[str], letters: list[str]) -> str:
    """The letters with the blanks that stand between them in the source."""
    text, plain = "".join(spaced), "".join(letters)
    found = re.search(r"\s*".join(map(re.escape, plain)), text)
    return found.group() if found else plain
