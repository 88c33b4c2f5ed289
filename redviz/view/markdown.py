"""Text from people, models and links, on its way into widgets that read Markdown: shown as it is, never interpreted."""

import re

SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~$:&-])")


def plain(text: object) -> str:
    r"""Escape every character that Markdown, LaTeX or Streamlit's own directives would act on; line breaks become blanks.

    >>> plain("![x](http://e) $5")
    '\\!\\[x\\]\\(http\\://e\\) \\$5'
    """
    return SPECIAL.sub(r"\\\1", " ".join(str(text).splitlines()))
