"""preflight_passed: nothing failed before the first step."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run, names
from lvmcheck.run.events import Watch
from lvmcheck.run.preflights import PREFLIGHT


@dataclass(frozen=True, kw_only=True)
class PreflightPassed(Watched):
    """No probe of the pre-flight failed: `rec.preflight(model, batch, loss, optimizer)`, or `lvmcheck.preflight`
    before the run is recorded.

    Why:
    A model that sees later tokens, mixes rows or is given the wrong targets trains, and its curves look well. What a
    pre-flight found must not be lost once the first steps are recorded.

    Usual causes:
    - The report was printed and not read.
    - The model was changed after the last pre-flight.

    Fix:
    Mend what the report names, and run the pre-flight again: the last one of a model counts.

    Healthy runs that must pass:
    Probes that warn, do not apply or ran out of time.
    """

    event = PREFLIGHT

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if not of.get("probes", 1.0):
            return None
        counts = [Fact(key, of[key]) for key in ("probes", "warnings", "crashed") if key in of]
        return Finding(
            code="probes_failed",
            measured=of.get("failed"),
            bounds=(equal(0),),
            evidence=(*names(event, "failed_probes"), *counts),
            phrase="{measured} of {probes} probes of the pre-flight failed",
        )


_case = made.Cases(PreflightPassed())
_ALL = {"probes": 18.0, "failed": 0.0, "warnings": 1.0, "crashed": 0.0}
_BAD = {**_ALL, "failed": 1.0, "causal": 0.4}
PASSES = (
    _case("perfect_oracle", case_run(PREFLIGHT, [_ALL])),
    _case("two_models", case_run(PREFLIGHT, [_ALL, _ALL])),
)
FAILS = (
    _case(
        "future_seen",
        case_run(PREFLIGHT, [_BAD], ["causal:future_seen"], over=False),
        "probes_failed",
        1.0,
        failed_probes="causal:future_seen",
    ),
    _case("not_a_number", case_run(PREFLIGHT, [{**_ALL, "failed": float("nan")}])),
)
