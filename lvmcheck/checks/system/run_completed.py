"""run_completed: the run ended, and not by a crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, passed, pending, warning
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.checks.shared.laws import AS_RECORDED
from lvmcheck.run.view import Run, run_from

CRASHED, INTERRUPTED, OPEN = ("failed",), ("interrupted",), ("open",)


@dataclass(frozen=True, kw_only=True)
class RunCompleted(Check):
    """The run ended by itself, by a rule, or by a request to stop; an exception or a lost process fails.

    Ending before the planned number of epochs is no failure: early stopping and a plain `break` are ordinary ends, and
    the message says how far the run went. KeyboardInterrupt and a run that its tracker calls killed warn.

    Why:
    A loop that raised after its third epoch leaves three good epochs behind, and every curve looks healthy.

    Usual causes:
    - An exception in the loop, the data loader or the validation.
    - Out of memory, a time limit of the cluster, a lost machine.

    Fix:
    Read the exception in the message; continue with lvmcheck.record(..., resume="auto").

    Healthy runs that must pass:
    Early stopping, also by break; a run that was asked to stop; a log that does not say how its run ended.

    Source:
    The completion record of the run.
    """

    universal = True
    metric_fields = ()
    exempt: ClassVar[Mapping[str, str]] = {
        **AS_RECORDED,
        "nan": "reads no number",
        "no_data": "the end of the run is its data",
    }

    def judge(self, run: Run) -> Outcome:
        if not run.over:
            return pending("the end of the run")
        done = run.done or {}
        status, reason = str(done.get("status", "")), done.get("reason")
        if status in OPEN:
            return not_applicable("the run goes on, or does not say how it ended")
        stated = () if reason is None else (Fact("reason", str(reason)[:300]),)
        planned = run.stated_epochs
        early = planned is not None and 0 < run.last_epoch < planned
        finding = Finding(
            code="completed",
            measured=run.last_epoch or None,
            unit="epochs",
            epoch=None,
            step=run.step or None,
            evidence=(*stated, *([Fact("planned", planned)] if early else [])),
            phrase="ended after {measured} of {planned}" if early else "the run ended",
        )
        if run.death is not None or status in CRASHED:
            evidence = (Fact("reason", (run.death or str(reason))[:300]),)
            crash = replace(finding, code="crashed", evidence=evidence, phrase="the run died: {reason}")
            return failed(replace(crash, epoch=run.last_epoch or None))
        if status in INTERRUPTED:
            return warning(replace(finding, code="interrupted", evidence=stated, phrase="the run was interrupted"))
        return passed(finding)


def _ended(done: Mapping[str, Any] | None, *, epochs: int = 3, planned: int = 3, death: str | None = None) -> Run:
    run = run_from({"train_loss": [1.0 / (i + 1) for i in range(epochs)]}, config={"epochs": planned})
    return replace(run, done=done, death=death)


_CHECK = RunCompleted()
PASSES = (
    Case(name="perfect_oracle", check=_CHECK, run=_ended({"status": "finished"}), code="completed"),
    Case(
        name="plain_break",
        check=_CHECK,
        run=_ended({"status": "finished"}, planned=20),
        code="completed",
        measured=3,
        facts={"planned": 20},
    ),
    Case(name="asked_to_stop", check=_CHECK, run=_ended({"status": "stopped", "reason": "a test"}), code="completed"),
    Case(name="a_log_that_does_not_say", check=_CHECK, run=_ended({"status": "ended"}), code="completed"),
)
FAILS = (
    Case(
        name="exception",
        check=_CHECK,
        run=_ended({"status": "failed", "reason": "ValueError: bad batch"}, planned=9),
        code="crashed",
        epoch=3,
        facts={"reason": "ValueError: bad batch"},
    ),
    Case(name="lost_process", check=_CHECK, run=_ended(None, death="killed by SIGKILL"), code="crashed"),
    Case(
        name="keyboard",
        check=_CHECK,
        run=_ended({"status": "interrupted", "reason": "the keyboard"}),
        code="interrupted",
        status=Status.WARNING,
    ),
)
