"""Judges what was measured as it comes: the first sight of every finding is one line with its cause."""

from __future__ import annotations

import re
from collections import deque
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.causes.protocol import Diagnosis, Evidence, cause_file, cause_names, load_cause
from lvmcheck.causes.wording import diagnosis_sentence
from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.protocol import CHECKS, load_check, verdict
from lvmcheck.checks.watch._watched import TAIL as LAST
from lvmcheck.checks.watch._watched import Watched
from lvmcheck.checks.wording import MARKS, sentence, subjects_text
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run
from lvmcheck.text.say import complain

if TYPE_CHECKING:
    from lvmcheck.run.recorder import Recorder

EVENT = re.compile(r'^    event = "(\w+)"$', re.MULTILINE)
"""How the file of a check says which events it rests on."""
TAIL = 64
"""Events of one name that a live look judges: a look costs the same at step 1,000 and at step 1,000,000."""


class Live:
    """Records events, and judges each as it comes.

    Attributes:
        verdicts: what was found so far, one for each check that failed or warned.
        diagnoses: the causes that were named with them.

    Args:
        quiet: notes are recorded and not said.
    """

    def __init__(self, recorder: Recorder | None, *, quiet: bool = False) -> None:
        self._recorder, self._quiet = recorder, quiet
        self._tails: dict[str, deque[Watch]] = {}
        self.verdicts: list[Verdict] = []
        self.diagnoses: list[Diagnosis] = []
        reader_names()  # read now, not during a step

    def measured(self, event: Watch) -> None:
        """One more event."""
        if self._recorder is not None:
            self._recorder.measured(event)
        tail = self._tails.setdefault(event.name, deque(maxlen=TAIL))
        tail.append(event)
        known = {found.check for found in self.verdicts}
        for check in readers_of(event.name):
            if check.name() not in known and may_fail(check, event):
                events = tuple(tail)[-(check.needs or check.streak) :]
                found = verdict(check, Run(events=events, info={LAST: True}))
                if found.status in (Status.FAILED, Status.WARNING):
                    self.verdicts.append(found)
                    self._tell(found)
                    if self._recorder is not None:
                        self._recorder.found(found)

    def note(self, text: str) -> None:
        """One line for the reader of the run."""
        if not self._quiet:
            complain(f"lvmcheck {text}")
        if self._recorder is not None:
            self._recorder.note(text)

    def _tell(self, found: Verdict) -> None:
        assert found.finding is not None
        cause = self._cause(found)
        said = sentence(found.finding) + subjects_text(found.finding)
        if cause is not None:
            self.diagnoses.append(cause)
            said += f": {diagnosis_sentence(cause)}; {cause.fix}"
        if self._recorder is None or self._recorder.meeting is None or self._recorder.meeting.rank == 0:
            complain(f"lvmcheck {MARKS[found.status]} {said} [{found.check}]")

    def _cause(self, found: Verdict) -> Diagnosis | None:
        """The cause of this finding among those of watched loops."""
        events = tuple(event for tail in self._tails.values() for event in tail)
        evidence = Evidence(Run(events=events), self.verdicts)
        diagnoses = (load_cause(name).diagnose(evidence) for name in watch_causes())
        fitting = [d for d in diagnoses if d is not None and found.check in d.explains]
        return max(fitting, key=lambda diagnosis: diagnosis.standing, default=None)


def may_fail(check: Watched, event: Watch) -> bool:
    """Whether the verdict on the events up to this one can be a failure: of most checks, if this one is not met."""
    kind = type(check)
    own = (kind.judge, kind.decide, kind.decide_on) != (Watched.judge, Watched.decide, Watched.decide_on)
    try:
        finding = None if own else check.look(event)
    except Exception:  # the verdict says what is wrong
        return True
    return own or (finding is not None and not finding.met)


@cache
def reader_names() -> dict[str, list[str]]:
    """Name of an event -> the checks that rest on it, read from their files: importing all of them takes longer."""
    found: dict[str, list[str]] = {}
    for stem in _stems(CHECKS):
        said = EVENT.search((CHECKS / "watch" / f"{stem}.py").read_text(encoding="utf-8"))
        kind = None if said else load_check(stem)
        name = said[1] if said else kind.event if kind is not None and issubclass(kind, Watched) else ""
        found.setdefault(name, []).append(stem)
    return found


@cache
def readers_of(event: str) -> tuple[Watched, ...]:
    """The checks that rest on the events of that name."""
    kinds = map(load_check, reader_names().get(event, ()))
    return tuple(kind() for kind in kinds if issubclass(kind, Watched))


def readers() -> dict[str, list[Watched]]:
    """Name of an event -> the checks that rest on it."""
    return {event: list(readers_of(event)) for event in reader_names()}


@cache
def watch_causes() -> list[str]:
    """Names of the causes that rest on what is watched, wherever they are."""
    checks = {name.encode() for names in reader_names().values() for name in names}
    return [name for name in cause_names() if any(check in cause_file(name).read_bytes() for check in checks)]


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "watch").glob("*.py") if not path.stem.startswith("_"))
