"""The manual page of a check: the sections of its docstring."""

from __future__ import annotations

import inspect

from lvmcheck.checks.protocol import Check


def manual(kind: type[Check]) -> dict[str, str]:
    """Sections of the docstring: ``what`` is all before the first heading, then ``why``, ``usual causes``, ``fix``.

    A source that a check does not state is that of the kind of checks it extends.
    """
    sections = _sections(kind)
    stated = (_sections(base).get("source") for base in kind.__mro__ if issubclass(base, Check))
    source = next(filter(None, stated), None)
    return sections if source is None else {**sections, "source": source}


def _sections(kind: type[Check]) -> dict[str, str]:
    sections: dict[str, list[str]] = {"what": []}
    current = "what"
    for line in inspect.cleandoc(kind.__doc__ or "").splitlines():
        heading = line.rstrip()
        if heading.endswith(":") and not line.startswith(" ") and heading[:-1].lower() in _HEADINGS:
            current = heading[:-1].lower()
            sections[current] = []
        else:
            sections[current].append(line)
    return {name: inspect.cleandoc("\n".join(lines)).strip() for name, lines in sections.items()}


_HEADINGS = ("why", "usual causes", "fix", "fails or warns", "healthy runs that must pass", "keys", "source")


def usual_causes(kind: type[Check]) -> tuple[str, ...]:
    """The bullet points under "Usual causes:", each on one line."""
    points: list[str] = []
    for line in manual(kind).get("usual causes", "").splitlines():
        if line.startswith("- "):
            points.append(line[2:].strip())
        elif points:
            points[-1] += " " + line.strip()
    return tuple(points)
