"""learning_rate_too_high: every step overshoots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._by_code import Coded
from lvmcheck.causes.curves._signs import failed_first, found, gradient_facts, leap, rate
from lvmcheck.causes.protocol import Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import shape, trend


class LearningRateTooHigh(Coded):
    """The loss leaps above its first value, or climbs from the first steps on, while the learning rate stays up."""

    def by_figures(self, evidence: Evidence) -> Diagnosis | None:
        run, used = evidence.run, rate(evidence.run)
        failing = failed_first(
            evidence, "loss_diverging", "finite", "nothing_learned", "gradient_norm_grows", "overfits"
        )
        if failing is None or run.of(ev.Stage) or failing.code == "runs_away":
            return None
        shattered = _shattered(run, failing)
        sign = leap(run) or shattered or _climbs(run) or _decided(run) or _never_back(failing)
        if sign is None or _jumps_late(run) or (shattered is None and _learned_all(run, failing)):
            return None
        known = used is not None and evidence.failed("learning_rate_zero") is None
        return found(
            self,
            Standing.LIKELY if known or shattered else Standing.CONSISTENT,
            "the learning rate is too high: the loss leaps or climbs from the first steps on",
            (sign, *([used] if used is not None else []), *finding_facts(failing), *gradient_facts(run)),
            fix="divide the learning rate by 10 and warm up over the first hundred steps; then raise it by halves",
            explain=EXPLAIN,
            explains=EXPLAINS,
            also=(
                *(("exploding_gradient",) if evidence.failed("gradient_norm_grows") else ()),
                *(() if _high(used) else ("wrong_scale",) if shattered is not None else _alike(evidence)),
            ),
            tell_apart="lr /= 10 for 200 steps: if the loss falls it was the rate; compare the first loss with ln K, "
            "and print(p.grad) of one weight before backward(): it must be None or 0",
        )


EXPLAIN = "loss_diverging"
EXPLAINS = (
    *("finite", "nothing_learned", "gradient_norm_grows", "initial_loss", "metric_constant", "overfits", "memorises"),
    *("loss_exactly_zero", "gradient_norm_zero", "not_diverging", "grad_norm_bounded"),
)
PARTS, BELOW = 6, 0.8
"""Parts of a run of which each is higher than the last where a loss climbs steadily, and how little it ever fell."""
HIGH = 0.2
"""Rate that is high for any optimizer."""
LEARNED = 0.5
"""Share of its first value at which a training loss says that the rate was not too high."""
FROM, CLIMB = 0.25, 1.5
"""The loss was lowest in this share of the run, and its last quarter is this many times as high."""


def _learned_all(run: Run, failing: Finding) -> bool:
    """Whether validation alone fails, and training ends at half of its first loss."""
    role, train = run.curves.roles.get(str(failing.metric)), run.curves.train
    if role is None or role.split is not Split.VALIDATION or train is None or len(train) < 8:
        return False
    levels = shape(train.values)
    windows = run.curves.window_losses  # the loss of the first step is not one of steps that overshot already
    return 0 < levels.last < LEARNED * min(levels.first, float((train if windows is None else windows).values[0]))


def _high(used: Fact | None) -> bool:
    """Whether the rate itself is one that hardly anything is trained with."""
    return used is not None and isinstance(used.value, float) and used.value >= HIGH


def _alike(evidence: Evidence) -> tuple[str, ...]:
    """What looks the same: a steady climb, a leap that was made good without anything learned, and what goes wild."""
    run = evidence.run
    if _steady(run):
        return ("loss_sign", "loss_term_detached", "weight_decay_destroys")
    trivial = evidence.failed("nothing_learned")
    if trivial is not None and trivial.code.startswith("at_") and not _ends_above(run):
        return ("label_mismatch", "wrong_scale")
    blind = run.curves.gradient is None and evidence.failed("loss_diverging") is not None
    return ("diverging", "wrong_scale", *(("gradients_not_cleared",) if blind else ()))


def _steady(run: Run) -> bool:
    """Whether a training loss climbs from its first value to its end, with hardly a step back."""
    train = run.curves.train
    if train is None or len(train) < 8 or not train.values[0] > 0:
        return False
    means = np.array([float(part.mean()) for part in np.array_split(train.values, PARTS)])
    return bool((np.diff(means) > 0).all()) and float(train.values.min()) >= BELOW * float(train.values[0])


def _ends_above(run: Run) -> bool:
    """Whether a training loss ends above its first value."""
    train = run.curves.train
    return train is not None and len(train) > 0 and shape(train.values).last > float(train.values[0])


def _shattered(run: Run, failing: Finding) -> Fact | None:
    """A first epoch ten times as high as the last ones, and nothing learned in the second half."""
    train, role = run.curves.epoch_losses, run.curves.roles.get(str(failing.metric))
    if train is None or len(train) < 8 or role is None or run.curves.rewards or run.curves.adversarial:
        return None
    late = train.values[len(train) // 2 :]
    last = float(np.median(late))
    flat = abs(trend(late)) < 2 and float(np.ptp(late)) < 0.1 * last
    if role.quantity is not Quantity.ACCURACY or not flat or not train.values[0] > 10 * last > 0:
        return None
    return Fact("first_epoch_over_last", float(train.values[0]) / last, "x")


def _never_back(failing: Finding) -> Fact | None:
    if failing.code not in ("never_back_after_a_leap", "blew_up_at_first"):
        return None
    return next(iter(failing.evidence), None)


def _climbs(run: Run) -> Fact | None:
    """A loss that rises from its beginning on while its learning rate is recorded."""
    train = run.curves.window_losses
    if train is None or len(train) < 8 or run.curves.rate is None or train.missing:
        return None
    levels = shape(train.values)
    late = float(np.median(train.values[-(len(train) // 4) :]))
    if levels.low_at > FROM * len(train) or not levels.low > 0 or not late > CLIMB * levels.low + 3 * levels.error:
        return None
    return Fact("late_loss_over_lowest", late / levels.low, "x", *train.place(levels.low_at))


def _decided(run: Run) -> Fact | None:
    """A policy without entropy soon after its beginning, and no reward for it."""
    for curve in run.curves.of(Quantity.ENTROPY) if run.curves.rewards else ():
        early = curve.values[: max(2, len(curve) // 4)]
        if len(curve) >= 8 and curve.values[0] > 0 and abs(float(early[-1])) < 0.02 * float(curve.values[0]):
            return Fact("entropy_after_a_quarter", float(early[-1]), epoch=int(curve.epochs[len(early) - 1]))
    return None


def _jumps_late(run: Run) -> bool:
    """Whether the rate rises late: a jump in the schedule, not a rate that was wrong from the start."""
    used = run.curves.rate
    if used is None or len(used) < 4:
        return False
    high = float(used.values.max())
    return high > 2 * float(used.values[0]) and int(used.values.argmax()) > len(used) // 2


def _run(losses: Sequence[float], used: Sequence[float]) -> Run:
    events = [
        ev.Window(
            epoch=1,
            first_step=50 * i + 1,
            last_step=50 * (i + 1),
            loss_mean=loss,
            loss_min=loss,
            loss_max=loss,
            grad_norm_mean=loss,
            lr=lr,
        )
        for i, (loss, lr) in enumerate(zip(losses, used, strict=True))
    ]
    return Run(events=tuple(events), done={"status": "finished"})


PASSES = (
    case("healthy", _run(made.lines(20, 2.0, 0.5, 0.4), [1e-3] * 20)),
    case("plateau", _run([2.0, 1.0, *[0.99, 1.01] * 9], [1e-3] * 20)),
    case("climbs_late", _run(made.lines(20, 2.0, 0.5, 0.4, 1.9), [1e-3] * 20)),
    case("rate_jumps_late", _run([1.0, *[1.1] * 11, *[4.0] * 8], [1e-3] * 12 + [1e-1] * 8)),
)
FAILS = (
    case("climbs", _run(made.lines(20, 1.0, 5.0), [3.0] * 20), Standing.LIKELY),
    case("falls_a_moment", _run([2.0, 1.5, *made.lines(18, 2.0, 40.0)], [0.5] * 20)),
)
