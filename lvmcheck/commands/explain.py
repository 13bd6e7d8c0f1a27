"""``lvmcheck explain``: the manual page of a check or a cause."""

from __future__ import annotations

import argparse
import inspect

from lvmcheck.commands._exit import PASSED
from lvmcheck.errors import InputError, nearest
from lvmcheck.text.say import say

HELP = "the manual page of a check or a cause, or what an id of an error stands for"
ALL = "All: lvmcheck list checks, lvmcheck list causes."
EXAMPLE = "lvmcheck explain cosine_floor"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", help="a check or cause, such as cosine_floor (lvmcheck list checks), or the id of an error"
    )


def run(options: argparse.Namespace) -> int:
    from lvmcheck.causes.protocol import cause_names
    from lvmcheck.checks.protocol import check_names
    from lvmcheck.text.catalogue import rows

    name, checks, causes = options.name, check_names(), cause_names()
    pages = [_check_page(name)] if name in checks or ":" in name else []
    pages += [_cause_page(name)] if name in causes else []  # some checks have a cause of the same name
    pages += [[row.id, row.message, row.file] for row in rows() if row.id == name] if name.startswith("LVM-") else []
    if not pages:
        raise InputError(f"{name!r}", "no such check or cause", fix=nearest(name, [*checks, *causes], ALL))
    say(*"\n\n".join("\n".join(page) for page in pages).splitlines())
    return PASSED


def _check_page(name: str) -> list[str]:
    from lvmcheck.checks.manual import manual, usual_causes
    from lvmcheck.checks.protocol import load_check

    kind = load_check(name)
    sections = manual(kind)
    lines = [f"check {kind.name()}", "", sections.pop("what")]
    for heading, text in sections.items():
        body = [f"- {cause}" for cause in usual_causes(kind)] if heading == "usual causes" else text.splitlines()
        lines += ["", heading.capitalize(), *(f"  {line}" for line in body)]
    return lines


def _cause_page(name: str) -> list[str]:
    from lvmcheck.causes.protocol import Evidence, load_cause
    from lvmcheck.causes.wording import diagnosis_lines

    cause = load_cause(name)
    diagnosis = cause.diagnose(Evidence(cause.cases()[1][0].run))
    shown = ["", "Example", *(f"  {line}" for line in diagnosis_lines(diagnosis))] if diagnosis is not None else []
    return [f"cause {name}", "", inspect.cleandoc(cause.about()), *shown]
