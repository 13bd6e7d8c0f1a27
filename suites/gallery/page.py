"""The text of docs/gallery.md around the tables."""

from __future__ import annotations

import platform
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from suites.gallery.recorded import ROOT
from suites.gallery.table import JudgedHalf, half_lines

INTRODUCTION = """\
# The gallery: how well runs of strangers are judged

Small training programs, each healthy or with one fault planted, recorded with `lvmcheck.record`
as the README shows and judged by `lvmcheck check` and `lvmcheck diagnose` without a suite or an option. A program knows
what is right: the causes that its fault has, several where the recorded figures cannot separate them, and whether a
careful expert can tell from the figures alone that something is wrong. Four sets, each written by somebody else: the
checks were developed with the tuning set; the held-out, the second and the third set were written without a look at
the checks and judged once before any rule was changed for them. Those first judgements are in
[gallery-first.md](gallery-first.md) and [gallery-unseen.md](gallery-unseen.md); this page is the present state, for
which rules were changed by the kinds of rows that had been lost.

```
python -m suites.gallery.peers               # once: the other tools, in an environment of their own
python -m suites.gallery --half all --peers  # prints this page; --write writes it
python -m suites.gallery --only NAME         # one program
LVM_GALLERY=full pytest suites/gallery       # the floors, on every program; without it on one of each task
```

*Flagged* is exit code 1 of `lvmcheck check`. A cause is *right* where one of the program's causes is the first that
`lvmcheck diagnose` names, or one that it says looks the same as the first. Other tools get the same figures as a CSV
with columns that all of them know, once with a row a step and once with a row an epoch; no other format is judged
better by any of them. Their settings are the default ones. What they call the cause is not compared: their names for
it are too different. *Red by* names the tools that are red with the form of log that suits each best.
"""


def page(halves: Sequence[JudgedHalf], arguments: Sequence[str]) -> str:
    """The whole page; the command that printed it, the date and the versions stand below the introduction."""
    lines = [*INTRODUCTION.splitlines(), "", _measured(arguments)]
    for half in halves:
        lines += ["", *half_lines(half)]
    return "\n".join(lines) + "\n"


def _measured(arguments: Sequence[str]) -> str:
    command = shlex.join(["python", "-m", "suites.gallery", *(word for word in arguments if word != "--write")])
    today = datetime.now(UTC).date()
    return (
        f"Measured {today} with `{command}`: lvmcheck {version('lvmcheck')} ({_revision()}), "
        f"torch {version('torch')}, Python {platform.python_version()}."
    )


def _revision() -> str:
    """The commit, with a plus where the tree differs from it."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=8", "--exclude=*"]
    done = subprocess.run(git, capture_output=True, text=True)
    return done.stdout.strip() or "no revision known"
