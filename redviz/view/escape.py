"""The one place where text becomes markup: every string that reaches HTML or SVG passes through here."""

from __future__ import annotations

import html
import re

# Characters that no HTML or XML document may hold: C0 controls but tab and line feed, surrogates, two non-characters.
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def escape(text: object) -> str:
    """Text as HTML or XML character data, safe between tags and inside a quoted attribute.

    >>> escape('<script>alert("1")</script>')
    '&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;'
    """
    return html.escape(FORBIDDEN.sub("\ufffd", str(text)), quote=True)


def tag(name: str, content: str = "", /, **attributes: object) -> str:
    """One element around markup that is already escaped; attribute values are escaped here.

    An attribute's underscores become hyphens, a trailing one is dropped (``class_``), and None leaves it out.

    >>> tag("b", escape("1 < 2"), class_="x", title='"')
    '<b class="x" title="&quot;">1 &lt; 2</b>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{content}</{name}>"
