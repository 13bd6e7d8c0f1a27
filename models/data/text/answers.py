"""Whether a continuation gives the right answer: exact match, without a judge."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

_NUMBER = re.compile(r"[-+]?\$?\s?(\d[\d,]*\.?\d*|\.\d+)\s?(%|\$)?\.?")
FINAL = "####"
"""gsm8k writes the steps first and the final number behind this sign."""


def exact(answer: str, generated: str) -> bool:
    """Whether ``generated``, the text after "A:", answers ``answer``.

    An answer of several lines must match whole. Else it is what stands behind the last ``####`` if there is one, or
    the first line; numbers match by value ("1,000", "$1000" and "1000.0"), words without regard to case, outer
    space, outer quotes and a final point. A right number among other words is no match: that would reward listing
    numbers.
    """
    if "\n" in answer.strip():
        return _lines(answer) == _lines(generated)
    behind = generated.rpartition(FINAL)[2] if FINAL in generated else generated
    given = behind.strip().split("\n", 1)[0]
    expected, got = _number(answer), _number(given)
    if expected is not None or got is not None:
        return expected is not None and expected == got
    return bool(_words(given)) and _words(given) == _words(answer)


def final_of(answer: str) -> str:
    """What stands behind ``####``, or the answer itself."""
    return answer.rpartition(FINAL)[2].strip() if FINAL in answer else answer


def _number(text: str) -> Decimal | None:
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        return None
    sign = "-" if text.strip().startswith("-") else ""
    try:
        return Decimal(sign + found[1].replace(",", ""))
    except InvalidOperation:
        return None


def _words(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" \"'.")


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]
