"""The manual of all checks as one Markdown page, made from their docstrings, and the command that writes every page.

``python -m docs.manual docs`` (``make docs``) writes all generated pages, ``... docs/checks.md`` one of them, and
without a path that of the checks is printed.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Sequence
from pathlib import Path

from docs.manual_pages import causes_page, errors_page, events_page, options_page
from lvmcheck.causes.protocol import cause_names, load_cause
from lvmcheck.checks.manual import manual, usual_causes
from lvmcheck.checks.protocol import Check, cases, check_names, load_check
from lvmcheck.errors import InputError, nearest
from lvmcheck.suite.toml_text import value_text
from lvmcheck.text import catalogue
from lvmcheck.text.fit import first_sentence
from lvmcheck.validation import expected

HEAD = """# Checks

Made by `make docs`; edit the docstrings below `lvmcheck/checks`, not this page.

A check is one file below `lvmcheck/checks`; its module name is its name in suites, its fields are its keys. Each is
proved by runs that must pass and runs that must fail. *Universal* checks are judged on any run (`lvmcheck check RUN`).
No check passes on missing data, and a NaN fails every comparison.
"""
SECTIONS = ("why", "usual causes", "fix", "fails or warns", "healthy runs that must pass", "source")
OPTIONAL = ("fails or warns",)
"""Headings that a docstring may leave out."""


def page() -> str:
    """The whole page, ending in one newline."""
    kinds = {name: load_check(name) for name in check_names()}
    rows = [f"| [{name}](#{name}) | {_first(kind)} | {_group(kind)} |" for name, kind in kinds.items()]
    table = ["| check | what must hold | group |", "|---|---|---|", *rows]
    entries = [entry(name, kind) for name, kind in kinds.items()]
    return "\n".join([HEAD, *table, "", *entries, causes()]).rstrip("\n") + "\n"


def entry(name: str, kind: type[Check]) -> str:
    """The section of one check.

    Raises:
        InputError: its docstring lacks a heading, or a text below it.
    """
    sections = manual(kind)
    for section in SECTIONS:
        if not sections.get(section) and section not in OPTIONAL:
            file = inspect.getsourcefile(kind) or kind.__module__
            raise InputError(file, f"the docstring of {kind.__name__} lacks the heading '{section.capitalize()}:'")
    lines = [f"## {name}", "", *(["*Universal.*", ""] if kind.universal else []), sections["what"], ""]
    if dataclasses.fields(kind):
        lines += ["| key | type | default |", "|---|---|---|", *keys(kind), ""]
    for section in filter(sections.get, SECTIONS):
        lines += [f"**{section.capitalize()}.**", ""]
        lines += [f"- {cause}" for cause in usual_causes(kind)] if section == "usual causes" else [sections[section]]
        lines.append("")
    good, bad = cases(name)
    lines += [f"**Proved by.** Passes: {_names(good)}. Fails: {_names(bad)}.", ""]
    return "\n".join(lines)


def keys(kind: type[Check]) -> list[str]:
    """Table rows of the check's keys."""
    hints = typing.get_type_hints(kind)
    rows = []
    for field in dataclasses.fields(kind):
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        default = "required" if required else f"`{value_text(field.default)}`" if field.default is not None else "none"
        rows.append(f"| `{field.name}` | {expected(hints[field.name])} | {default} |")
    return rows


def causes() -> str:
    """The section of the causes."""
    rows = [f"- `{name}`: {load_cause(name).about()}" for name in cause_names()]
    intro = "`lvmcheck diagnose PATH` ranks them by the standing of their evidence ([causes.md](causes.md))."
    return "\n".join(["## Causes", "", intro, "", *rows])


def _first(kind: type[Check]) -> str:
    """The first sentence of the docstring, on one line."""
    return first_sentence(manual(kind)["what"])


def _group(kind: type[Check]) -> str:
    parts = kind.__module__.split(".")
    return parts[-2] + (", universal" if kind.universal else "")


def _names(found: Sequence[object]) -> str:
    return ", ".join(getattr(case, "name", "?").replace("_", " ") for case in found)


PAGES: dict[str, Callable[[], str]] = {
    "checks.md": page,
    "causes.md": causes_page,
    "events.md": events_page,
    "options.md": options_page,
    "errors.md": errors_page,
}
"""Generated pages by the names of their files."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the page of the checks, or write the one of that name, or all of them into a folder."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given:
        print(page(), end="")
        return 0
    try:
        if len(given) > 1:
            raise InputError("docs.manual", f"expected at most one path, got {len(given)}")
        target = Path(given[0])
        for path in (target / name for name in PAGES) if target.is_dir() else (target,):
            write(path)
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


def write(path: Path) -> None:
    """The page that is called as the file.

    Raises:
        InputError: no page is, or it cannot be written.
    """
    if path.name not in PAGES:
        raise InputError(path, "no generated page has that name", fix=nearest(path.name, PAGES))
    try:
        if path.name == "errors.md":
            catalogue.renew()
        path.write_text(PAGES[path.name](), encoding="utf-8")
    except OSError as problem:
        raise InputError(path, f"cannot be written: {problem.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
