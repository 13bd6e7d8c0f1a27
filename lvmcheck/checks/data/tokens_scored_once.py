"""tokens_scored_once: an epoch scores every token of its records once, and no padding."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.finding import Finding, Outcome, facts, not_recorded
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import at_most, settle
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class TokensScoredOnce(Check):
    """The tokens that an epoch's steps scored are, to `tolerance`, those that its stage holds.

    Every stage states scored_tokens, the targets of its records in one epoch; windows of steps count what was scored.

    Why:
    The mean of a loss is taken over something. Padding that is scored dilutes it with the easiest token there is: the
    loss falls, perplexity looks good, and the model learns to pad. Left-over batches that are dropped, or counted
    twice, change what an epoch is. The public model of the original project computes its cross-entropy without an
    ignored index.

    Usual causes:
    - No ignored index in the cross-entropy: padding is a token like any other (more than the records hold).
    - The last batches of an epoch are dropped, or an accumulation is not finished (fewer).
    - A stage other than the stated one is trained.
    - Records are cut at the window without saying so (fewer).

    Fix:
    Count targets that are not ignored in one batch, and the tokens of its records by hand.

    Healthy runs that must pass:
    Packed and unpacked rows alike: only tokens count, not positions.

    Source:
    docs/history.md (labels shifted with padding counted: loss 2.07, output "the the the").
    """

    metric_fields = ()

    tolerance: float = 0.001

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, 0.0, 1.0)

    def judge(self, run: Run) -> Outcome:
        held: float | None = None
        scored = 0
        compared: list[Finding] = []
        for event in run.events:
            if isinstance(event, ev.Stage):
                value = event.facts.get("scored_tokens")
                held = float(value) if isinstance(value, int | float) and value > 0 else None
            elif isinstance(event, ev.Window):
                scored += event.samples
            elif isinstance(event, ev.Epoch):
                if held is None or not scored:
                    lacking = "scored_tokens of the stage" if held is None else "tokens in windows of steps"
                    return not_recorded(f"{lacking} not stated before the end of epoch {event.epoch}")
                compared.append(self._compare(event.epoch, scored, held))
                if not compared[-1].met:
                    return settle(compared[-1:], evaluated=len(compared))
                scored = 0
        if not complete(run):
            return awaiting(run, "the tokens of every epoch", evaluated=len(compared))
        return settle(compared) if compared else not_recorded("no epoch has ended")

    def _compare(self, epoch: int, scored: int, held: float) -> Finding:
        return at_most(
            "scored_more" if scored > held else "scored_fewer",
            abs(scored - held) / held,
            self.tolerance,
            epoch=epoch,
            evidence=facts(scored=scored, held=held),
            phrase="{scored} targets scored, {held} in the records: relative difference {measured}",
        )


_case = made.Cases(TokensScoredOnce())
PASSES = (
    _case("perfect_oracle", language.staged(1000, [500, 500], [600, 400])),
    _case("a_token_here_and_there", language.staged(10_000, [5_000, 4_995])),
)
FAILS = (
    _case("padding_counted", language.staged(1000, [800, 800]), "scored_more", 0.6, scored=1600),
    _case("left_over_batches_dropped", language.staged(1000, [500, 500], [500, 420]), "scored_fewer", epoch=2),
)
