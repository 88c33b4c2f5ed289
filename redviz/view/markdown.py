"""Text from people, models and links, on its way into widgets that read Markdown: shown as it is, never interpreted."""

import re

SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~$:&-])")
# GitHub's Markdown makes links of addresses even where they are escaped; a word joiner, which has no width, breaks them.
ADDRESS = re.compile(r"(?=https?://|www\.)|(?<=[-.\w+])(?=@[-\w]+\.)", re.IGNORECASE)


def plain(text: object) -> str:
    r"""Escape every character that Markdown, LaTeX or Streamlit's own directives would act on, and keep addresses from becoming links;
    line breaks become blanks.

    >>> plain("![x](e) $5")
    '\\!\\[x\\]\\(e\\) \\$5'
    >>> plain("www.e.org")
    '\u2060www.e.org'
    """
    return SPECIAL.sub(r"\\\1", ADDRESS.sub("\u2060", " ".join(str(text).splitlines())))
