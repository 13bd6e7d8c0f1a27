"""Text from outside, made fit to be shown: nothing in it moves a cursor, turns the direction or commands a runner.

Notes, names, exceptions, cells of tables, generated samples, keys and paths come from files that anybody may have
written. Whoever makes a sentence of them uses :func:`one_line`, whoever shows them as a block :func:`clean`, and
whatever reaches a terminal or a log passes :func:`fit` (``say`` does so itself). Escaping for HTML, Markdown or JSON is
the work of whoever writes those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 600
"""Characters of a block; samples have a limit of their own."""
_LINES = re.compile("\r\n?")
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without line feed and tab, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks, embeddings, overrides and isolates of direction
    "\u2028\u2029\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"  # line separators, byte order mark, no characters
    "\U000e0000-\U000e007f]"  # tags, which nobody sees
)
_UNFIT_IN_A_LINE = re.compile(f"[\n\t]|{_UNFIT.pattern}")
_COMMAND = re.compile(r"#(?=#(?:\[|vso\[|teamcity\[))|^([^\S\n]*:)(?=:)", re.IGNORECASE | re.MULTILINE)
"""What a runner would obey: ``##[error]``, ``##vso[`` and ``##teamcity[`` anywhere, ``::error::`` as a line begins."""


def clean(value: object, limit: int | None = LONGEST) -> str:
    """``value`` as text of one or more lines, cut to ``limit`` characters; what is unfit is shown as ``\\x1b``."""
    text = _text(value)
    more = f" … ({len(text):,} characters)" if limit is not None and len(text) > limit else ""
    return _UNFIT.sub(_escaped, _LINES.sub("\n", text[:limit])) + more


def one_line(value: object) -> str:
    """``value`` as text on one line: line breaks and tabs are shown as ``\\n`` and ``\\t``, too."""
    text = _text(value)
    return text if text.isascii() and text.isprintable() else _UNFIT_IN_A_LINE.sub(_escaped, text)


def excerpt(text: str, limit: int = 60) -> str:
    """At most ``limit`` characters of a text from outside, on one line."""
    cut = one_line(text[: limit + 1])
    return cut if len(cut) <= limit else cut[: limit - 3] + "..."


def fit(value: object) -> str:
    """Lines for a terminal or the log of a job: as :func:`clean`, whole, and without a command to the runner."""
    text = clean(value, None)
    return _COMMAND.sub(r"\g<0> ", text) if "::" in text or "##" in text else text


def fit_line(value: object) -> str:
    """One line for a terminal or the log of a job, in which no line break forges another one."""
    return fit(one_line(value))


def first_sentence(text: str) -> str:
    """The first sentence of a text, on one line."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z])", paragraph, maxsplit=1)[0]


def fit_lines(lines: Iterable[object]) -> str:
    """Each of the texts as one line of a block."""
    return "\n".join(map(fit_line, lines))


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
