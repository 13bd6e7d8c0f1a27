"""tokens_scored_once: an epoch scores every token of its records once, and no padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Outcome, error
from lvmcheck.checks.wording import figure
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import Comparison, at_most, settle
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class TokensScoredOnce(Check):
    """The tokens that an epoch's steps scored are, to `tolerance`, those that its stage holds.

    Every stage states scored_tokens, the targets of its records in one epoch; windows of steps count what was scored.

    Why:
    The mean of a loss is taken over something. Padding that is scored dilutes it with the easiest token there is: the
    loss falls, perplexity becomes fine, and the model learns to pad. Left-over batches that are dropped, or counted
    twice, change what an epoch is. The ancestors' public model computes its cross-entropy without an ignored index.

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
    facts E 3 of the ancestors (labels shifted with padding counted: loss 2.07, output "the the the"); C 45, C 57.
    """

    metric_fields = ()

    tolerance: float = 0.001

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, 0.0, 1.0)

    def judge(self, run: Run) -> Outcome:
        held: float | None = None
        scored = 0
        kept: list[Comparison] = []
        for event in run.events:
            if isinstance(event, ev.Stage):
                value = event.facts.get("scored_tokens")
                held = float(value) if isinstance(value, int | float) and value > 0 else None
            elif isinstance(event, ev.Window):
                scored += event.samples
            elif isinstance(event, ev.Epoch):
                if held is None or not scored:
                    lacking = "scored_tokens of the stage" if held is None else "tokens in windows of steps"
                    return error(f"{lacking} not stated before the end of epoch {event.epoch}: nothing to compare")
                kept.append(self._compare(event.epoch, scored, held))
                if not kept[-1][0]:
                    return settle(kept[-1:], evaluated=len(kept))
                scored = 0
        if not complete(run):
            return awaiting(run, "the tokens of every epoch", evaluated=len(kept))
        return settle(kept) if kept else error("no epoch has ended: nothing to compare")

    def _compare(self, epoch: int, scored: int, held: float) -> Comparison:
        said = (
            f"epoch {epoch} scored {scored:,} targets, its records hold {figure(held)}: "
            + ("padding or repeated records are scored" if scored > held else "some are never scored"),
        )
        what = f"relative difference of scored targets from those of the records in epoch {epoch}"
        return at_most(what, abs(scored - held) / held, self.tolerance, said)


_CHECK = TokensScoredOnce()
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, language.staged(1000, [500, 500], [600, 400])),
    made.case("a_token_here_and_there", _CHECK, language.staged(10_000, [5_000, 4_995])),
)
FAILS: Sequence[Case] = (
    made.case("padding_counted", _CHECK, language.staged(1000, [800, 800]), ("padding or repeated",)),
    made.case("left_over_batches_dropped", _CHECK, language.staged(1000, [500, 500], [500, 420]), ("never scored",)),
)
