"""loss_balance: no loss term has so much gradient that the others are not optimised."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.curves._curves import concluded, improved
from lvmcheck.checks.finding import (
    Finding,
    Outcome,
    Status,
    error,
    facts,
    failed,
    not_applicable,
    not_recorded,
    passed,
    warning,
)
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import awaiting, check_count, check_number, complete
from lvmcheck.checks.shared.shares import TERM_METRIC, Measured, active_terms, heaviest, measure
from lvmcheck.errors import nearest
from lvmcheck.run.curves import Curve
from lvmcheck.run.events import Epoch
from lvmcheck.run.role_names import words
from lvmcheck.run.view import Run, run_from
from lvmcheck.statistics.curve import shape


@dataclass(frozen=True, kw_only=True)
class LossBalance(Check):
    """In the first `epochs` epochs no term has more than `max_ratio` times the gradient norm of the next one.

    Weighted gradients count: the norm of the gradient of weight times term with respect to the parameters (probe
    "term_grad_norm"), as the median over steps `from_step` to `to_step`, and again over each judged epoch. Without
    such probes a term that holds more than `max_share` of the loss value at the end of the run is a warning where no
    evaluation and no training loss gets better, or another term that is no regulariser gets worse while the total
    falls: a value is no gradient, and adversarial, variational and auxiliary terms are healthy at any share. A term
    that is meant to dominate is exempt: `main`, or else the term whose weight is at least 10 times every other. A run
    with one term passes.

    Why:
    Weights are not shares. Attempt 2 on the 790k corpus gave MSE and InfoNCE a weight of 0.5 each; InfoNCE was 700
    times larger in value and the MSE rose by 51 % while the loss fell. With a weight of 0.05 InfoNCE still held 32
    times the value of MSE. The ratio is only 3 at initialisation and grows to 1,000 as MSE falls, so the first steps
    are not judged.

    Usual causes:
    - Terms of different scale under equal weights: MSE of unit vectors is about 2 / D, InfoNCE about 2 ln(batch).
    - A mean over elements beside a sum over elements.
    - A term that is at its bound: it has a value and no gradient.
    - A regulariser whose weight was tuned for another batch size.

    Fix:
    Divide each weight by the gradient norm of its term at step 100 to 500, and start from the main loss alone: add the
    second term at a hundredth of its gradient. Or name the term that is meant to dominate: main = "mse".

    Healthy runs that must pass:
    One term; a main loss with a small regulariser; a constant term that holds much of the value and no gradient; a
    ratio that is large in the first 100 steps only; terms of any share in a run that gets better, such as the KL term
    of a variational autoencoder, a critic's loss beside a policy's, or the losses of two players.

    Source:
    docs/history.md; measured gradient ratios of 75 to 1,700 on real text.
    """

    universal = True
    metric_fields = ()

    max_ratio: float = 20.0
    max_share: float = 0.9
    main: str | None = None
    from_step: int = 100
    to_step: int = 500
    epochs: int = 1

    def __post_init__(self) -> None:
        check_number("max_ratio", self.max_ratio, 1.0)
        check_number("max_share", self.max_share, 0.0, 1.0)
        check_count("from_step", self.from_step, low=0)
        check_count("to_step", self.to_step, low=self.from_step + 1)
        check_count("epochs", self.epochs)

    def due(self, epochs: int) -> int:
        return min(self.epochs, epochs)

    def judge(self, run: Run) -> Outcome:
        terms = active_terms(run)
        if not terms:
            return self._without_terms(run)
        if self.main is not None and self.main not in terms:
            return error(f"main: no loss term {self.main!r} is recorded. {nearest(self.main, terms)}")
        measured = list(self._measured(run, list(terms)))
        ended = complete(run) or (run.last_epoch >= self.epochs and bool(measured))
        exempt = self.main or heaviest(terms)
        for found in measured:
            if self._unfair(found, exempt) is Status.FAILED:
                return failed(self._finding(found, exempt), evaluated=len(measured), abort=True)
        if not ended:
            return awaiting(run, f"the end of epoch {self.epochs}", evaluated=len(measured))
        if not measured:
            return not_recorded(f"no window of steps states loss terms after step {self.from_step}")
        heavy = next((found for found in measured if self._unfair(found, exempt)), None)
        if heavy is not None:
            if not run.over:
                return awaiting(run, "the end of the run", evaluated=len(measured))
            finding = self._finding(heavy, exempt)
            if not _gets_better(run) or _neglects(run, terms, heavy.name):
                return warning(finding, evaluated=len(measured))
            fine = replace(finding, code="share_of_a_run_that_gets_better", bounds=())
            return concluded(fine, _judged(run), evaluated=len(measured))
        return passed(self._finding(measured[-1], exempt), evaluated=len(measured))

    def _without_terms(self, run: Run) -> Outcome:
        terms = [name for name in run.metric_names if name.startswith(TERM_METRIC)]
        if terms and not isinstance(run.config.get("loss"), Mapping):
            return not_recorded(f"the weights of {', '.join(terms)} are not recorded (config 'loss')")
        if run.windows or (run.metric_names and run.over):
            return not_applicable("the run declares no loss terms")
        return awaiting(run, "the loss terms")

    def _measured(self, run: Run, names: Sequence[str]) -> Iterable[Measured]:
        """Each stretch that no later event belongs to; epochs too short for ``from_step`` are made up by later ones."""
        count = 0
        # A probe of a step may follow the window that ends with it, so the stretch is over one window later.
        if run.windows and run.windows[-1].last_step > self.to_step:
            found = measure(run, 0, self.from_step, self.to_step, names)
            if found is not None:
                count += 1
                yield found
        for event in run.of(Epoch):
            if count and event.epoch > self.epochs:
                return
            found = measure(run, event.epoch, self.from_step, math.inf, names)
            if found is not None:
                count += 1
                yield found

    def _unfair(self, found: Measured, exempt: str | None) -> Status | None:
        """FAILED by gradient or where a number is not finite, WARNING by value alone, None where nothing is wrong."""
        if not math.isfinite(found.share):
            return Status.FAILED
        if found.name == exempt or found.count == 1:
            return None
        if found.ratio is not None:
            return None if found.ratio <= self.max_ratio else Status.FAILED
        return None if found.share <= self.max_share else Status.WARNING

    def _finding(self, found: Measured, exempt: str | None) -> Finding:
        steps = {"first_step": found.first_step, "last_step": found.last_step}
        place = {name: step for name, step in steps.items() if step is not None}
        share = Finding(
            code="value_share",
            measured=found.share,
            bounds=(ceiling(self.max_share),),
            epoch=found.epoch,
            evidence=facts(place, term=found.name),
            phrase="{term} holds a share of {measured} of the loss value; gradient norms of the terms are not recorded",
        )
        if not math.isfinite(found.share) or (found.ratio is not None and math.isnan(found.ratio)):
            phrase = "value or gradient norm of a loss term is not finite"
            return replace(share, code="not_finite", measured=math.nan, bounds=(), phrase=phrase)
        if found.count == 1:
            return replace(share, code="only_term", bounds=(), phrase="{term} is the only loss term")
        if found.name == exempt:
            phrase = "{term}, the term meant to dominate, holds a share of {measured} of the loss value"
            return replace(share, code="main_term", bounds=(), phrase=phrase)
        if found.ratio is None:
            return share
        return replace(
            share,
            code="gradient_ratio",
            measured=found.ratio,
            unit="x",
            bounds=(ceiling(self.max_ratio),),
            evidence=facts(place, term=found.name, next=found.next, share=found.share),
            phrase="{term} has {measured} the gradient norm of {next}",
        )


REGULARISERS = frozenset(words("kl kld reg l1 l2 wd entropy penalty gp commit commitment vq balance aux adv"))
"""Words of terms that may grow while the loss falls."""
RISE = 1.05
"""Times its first level above which a term has got worse."""


def _gets_better(run: Run) -> bool:
    """Whether an evaluation improves, or else the training loss; a GAN without evaluations counts as improving."""
    curves = run.curves
    return (curves.adversarial and not curves.evaluations) or any(map(improved, _judged(run)))


def _judged(run: Run) -> tuple[Curve, ...]:
    curves = run.curves
    return curves.evaluations or ((curves.train,) if curves.train is not None else ())


def _neglects(run: Run, terms: Iterable[str], heavy: str) -> bool:
    """Whether another term, no regulariser, rises while the training loss falls."""
    train = run.curves.train
    if train is None or run.curves.rewards or run.curves.adversarial or not improved(train):
        return False
    others = [name for name in terms if name != heavy and not REGULARISERS & set(words(name))]
    return any(_rises(run, name) for name in others)


def _rises(run: Run, name: str) -> bool:
    values = [window.terms[name].mean for window in run.windows if name in window.terms]
    values = values or run.series(TERM_METRIC + name).values.tolist()
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return False
    levels = shape(np.array(values, dtype=np.float64))
    return 0 < RISE * levels.first < levels.last


def _two(mse: float, info: float, weights: tuple[float, float], ratio: float | None, *, windows: int) -> Run:
    """A run with an MSE term and an InfoNCE term; the gradient ratio starts at 3, as measured at initialisation."""
    loss = [weights[0] * mse + weights[1] * info] * windows
    terms = {"mse": (weights[0], [mse] * windows), "info_nce": (weights[1], [info] * windows)}
    gradients = None
    if ratio is not None:
        gradients = {1: {"mse": 1.0, "info_nce": 3.0}}
        gradients |= {step: {"mse": 0.01, "info_nce": 0.01 * ratio} for step in (100, 200, 300, 400, 500)}
    return made.window_run(loss, terms=terms, gradients=gradients, per_epoch=20, over=False)


_case = made.Cases(LossBalance())
_EPOCHS_2 = {"train_loss": [0.698], "train_loss_mse": [0.0020154], "train_loss_info": [1.3939]}

PASSES = (
    _case("perfect_oracle", made.window_run([0.0] * 20, terms={"mse": (1.0, [0.0] * 20)}), "only_term"),
    _case("amn_584k_one_term", made.window_run([0.001] * 20, terms={"mse": (1.0, [0.001] * 20)})),
    _case("decided_when_epoch_1_ends", _two(0.5, 1.0, (1.0, 0.5), 4.0, windows=20)),
    _case("main_loss_and_tiny_regulariser", _two(1.0, 0.5, (1.0, 1e-4), 1e-4, windows=20), "main_term", term="mse"),
    made.case(
        "named_as_main", LossBalance(main="info_nce"), _two(0.002, 1.4, (0.5, 0.5), 388.0, windows=20), "main_term"
    ),
    _case(
        "variational",
        run_from(
            {
                "train_loss": made.lines(10, 37.5, 30.5),
                "train_loss_rec": made.lines(10, 37.4, 28.2),
                "train_loss_kl": made.lines(10, 0.05, 2.3),
                "val_loss": made.lines(10, 34.4, 30.7),
            },
            config={"loss": {"rec": 1.0, "kl": 1.0}},
        ),
        "share_of_a_run_that_gets_better",
    ),
    _case("value_without_gradient", _two(0.001, 0.98, (1.0, 1.0), 0.2, windows=20)),
)
FAILS = (
    _case(
        "attempt_2_by_step_500",
        _two(0.0020154, 1.3939, (0.5, 0.5), 388.0, windows=11),
        "gradient_ratio",
        388.0,
        term="info_nce",
        next="mse",
        share=0.9986,
        first_step=101,
        last_step=500,
    ),
    _case(
        "attempt_2_history_by_value",
        run_from(_EPOCHS_2, config={"loss": {"mse": 0.5, "info": 0.5}}),
        "value_share",
        0.9986,
        status=Status.WARNING,
    ),
    _case("weight_0.05_still_dominates", _two(0.0014, 0.92, (1.0, 0.05), 75.0, windows=11), "gradient_ratio", 75.0),
    _case("nan_gradient", _two(0.002, 1.4, (0.5, 0.5), float("nan"), windows=11), "not_finite"),
    _case("nan_in_the_only_term", made.window_run([1.0] * 20, terms={"mse": (1.0, [float("nan")] * 20)}), "not_finite"),
)
