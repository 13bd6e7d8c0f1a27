"""next_token_targets: a language model is asked for the next token, and does not see it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from lvmcheck.checks.bounds import ceiling, equal
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_recorded, passed, pending
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import complete
from lvmcheck.checks.watch._watched import Watched, case_run, watched
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

MOST = 1e-3


@dataclass(frozen=True, kw_only=True)
class NextTokenTargets(Watched):
    """Where the targets of a cross entropy are tokens of the input (98 % agree at one shift), they are the next ones,
    and the outputs before the last token do not change with it (by 0.001 of their magnitude). Targets that are the
    tokens of the same position are refused only of a model that sees no later ones.

    Why:
    A model that sees what it has to predict learns to copy: its loss is excellent, and it cannot write.

    Usual causes:
    - The causal mask is missing.
    - Labels are shifted not at all, or both in the data and in the model.

    Fix:
    Compare logits[:, :-1] with tokens[:, 1:], once; mask every attention with j <= i.

    Healthy runs that must pass:
    Masked language models; autoencoders of tokens; taggers.

    Source:
    This project's list of checks: causal_leak.
    """

    event = "target_shift"

    def look(self, event: Watch) -> Finding:
        shift = event.values.get("shift", math.nan)
        return Finding(
            code="next_token" if shift == 1 else "same_token" if shift == 0 else "other_token",
            measured=shift,
            unit="positions",
            bounds=(equal(1),),
            phrase="targets are the tokens of the input shifted by {measured}",
        )

    def decide(self, run: Run) -> Outcome:
        shifts, later = watched(run, self.event), watched(run, "later_tokens")
        change = later[-1].values.get("change", math.nan) if later else None
        found = [replace(self.look(event), step=event.step) for event in shifts]
        for finding in found:
            if finding.code != "same_token" and not finding.met:
                return failed(finding, evaluated=len(found))
            if finding.code == "same_token" and change is not None and change <= MOST:
                return failed(finding, evaluated=len(found))
        seen = self._seen(change, later[-1].step) if change is not None and any(f.met for f in found) else None
        if seen is not None and not seen.met:
            return failed(seen, evaluated=len(found))
        if not complete(run):
            return pending("the end of the run", evaluated=len(found))
        if not any(finding.met for finding in found):
            return not_recorded("the targets are not the next tokens of the input")
        return passed(seen or found[-1], evaluated=len(found))

    @staticmethod
    def _seen(change: float, step: int) -> Finding:
        return Finding(
            code="future_seen",
            measured=change,
            bounds=(ceiling(MOST),),
            step=step,
            evidence=(Fact("shift", 1.0, "positions"),),
            phrase="another last token changes the outputs before it by {measured} (relative)",
        )


_case = made.Cases(NextTokenTargets())


def _run(shift: float, change: float | None = None, *, over: bool = True) -> Run:
    run = case_run("target_shift", [{"shift": shift}] * 3, over=over)
    if change is None:
        return run
    return run.extended([Watch(name="later_tokens", epoch=1, step=2, values={"change": change})])


PASSES = (_case("perfect_oracle", _run(1.0, 0.0)), _case("not_tried", _run(1.0)))
FAILS = (
    _case("no_mask", _run(1.0, 0.3), "future_seen", 0.3),
    _case("not_shifted", _run(0.0, 0.0), "same_token", 0.0),
    _case("two_ahead", _run(2.0, over=False), "other_token", 2.0),
    _case("not_a_number", _run(math.nan)),
)
