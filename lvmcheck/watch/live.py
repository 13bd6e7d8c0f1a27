"""Judges what was measured as it comes: the first sight of every finding is one line with its cause."""

from __future__ import annotations

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

TAIL = 64
"""Events of one name that a live look judges: a look costs the same at step 1,000 and at step 1,000,000."""


class Live:
    """Records events, and judges each as it comes.

    Attributes:
        verdicts: what was found so far, one for each check that failed or warned.
        diagnoses: the causes that were named with them.
    """

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder
        self._tails: dict[str, deque[Watch]] = {}
        self.verdicts: list[Verdict] = []
        self.diagnoses: list[Diagnosis] = []
        readers()  # imported now, not during a step

    def measured(self, event: Watch) -> None:
        """One more event."""
        if self._recorder is not None:
            self._recorder.measured(event)
        tail = self._tails.setdefault(event.name, deque(maxlen=TAIL))
        tail.append(event)
        known = {found.check for found in self.verdicts}
        for check in readers().get(event.name, ()):
            if check.name() not in known:
                events = tuple(tail)[-(check.needs or check.streak) :]
                found = verdict(check, Run(events=events, info={LAST: True}))
                if found.status in (Status.FAILED, Status.WARNING):
                    self.verdicts.append(found)
                    self._tell(found)
                    if self._recorder is not None:
                        self._recorder.found(found)

    def note(self, text: str) -> None:
        """One line for the reader of the run."""
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
        diagnoses = (load_cause(name)().diagnose(evidence) for name in watch_causes())
        fitting = [d for d in diagnoses if d is not None and found.check in d.explains]
        return max(fitting, key=lambda diagnosis: diagnosis.standing, default=None)


@cache
def readers() -> dict[str, list[Watched]]:
    """Name of an event -> the checks that rest on it."""
    found: dict[str, list[Watched]] = {}
    for kind in map(load_check, _stems(CHECKS)):
        if issubclass(kind, Watched):
            found.setdefault(kind.event, []).append(kind())
    return found


@cache
def watch_causes() -> list[str]:
    """Names of the causes that rest on what is watched, wherever they are."""
    checks = {check.name().encode() for kinds in readers().values() for check in kinds}
    return [name for name in cause_names() if any(check in cause_file(name).read_bytes() for check in checks)]


def _stems(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "watch").glob("*.py") if not path.stem.startswith("_"))
