"""grad_norm_bounded: gradients stay below a bound and do not explode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, passed
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete, windows_not_at_end
from lvmcheck.run.view import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BEFORE = 30
"""Windows before a window whose median it is compared with."""
NEED = 5
"""Windows that must be there before a median means anything."""
SPAN, HITS = 10, 3


@dataclass(frozen=True, kw_only=True)
class GradNormBounded(Check):
    """The global gradient norm before clipping is at most `bound` at every step, and does not explode.

    Exploding: in 3 of 10 consecutive windows the largest norm is above `explode` times the median of the 30 windows
    before them.

    Why:
    A norm that grows by an order of magnitude announces divergence hundreds of steps before the loss shows it. Gradient
    clipping hides it from the loss, so the norm is taken before clipping.

    Usual causes:
    - The learning rate is too high for this stage, or its warm-up too short.
    - A loss that is summed over the batch instead of averaged.
    - A temperature near 0, or a normalisation of nearly zero vectors.
    - Recurrence over many steps without clipping or normalisation.
    - Gradients that are not reset, so that they add up step by step.

    Fix:
    Compare the norm with the loss at the window in the message. Halve the learning rate or lengthen the warm-up; clip
    by the global norm (1.0) only after you know where the norm comes from.

    Healthy runs that must pass:
    One large batch in a hundred windows; norms that fall by a factor of 1,000 as the loss falls; noisy norms of small
    batches.

    Source:
    The original project's rule for its language model (gradient norm below 10); exploding gradients.
    """

    metric_fields = ()

    bound: float = 10.0
    explode: float = 10.0

    def __post_init__(self) -> None:
        check_number("bound", self.bound, 1e-300)
        check_number("explode", self.explode, 1.0)

    def judge(self, run: Run) -> Outcome:
        import numpy as np

        norms = run.window_column("grad_norm_max")
        stated = np.array([window.grad_norm_max is not None for window in run.windows], dtype=bool)
        if not stated.any():
            return self._nothing(run)
        places = np.flatnonzero(stated)
        norms = norms[places]
        above = np.flatnonzero(~(norms <= self.bound))
        burst = _explosion(norms, self.explode)
        worst = min([int(above[0])] if len(above) else [], default=None)
        if burst is not None and (worst is None or burst < worst):
            return failed(self._finding(run, norms, places, burst, exploded=True), evaluated=len(norms))
        if worst is not None:
            return failed(self._finding(run, norms, places, worst), evaluated=len(norms))
        if not complete(run):
            return awaiting(run, "the remaining steps", evaluated=len(norms))
        cut = windows_not_at_end(run)
        if cut is not None:
            return cut
        silent = np.flatnonzero(~stated)
        if len(silent):
            window = run.windows[int(silent[0])]
            steps = f"{window.first_step:,} to {window.last_step:,}"
            return not_recorded(f"no gradient norm is recorded for steps {steps}, and it is for other steps")
        return passed(self._finding(run, norms, places, int(norms.argmax())), evaluated=len(norms))

    def _nothing(self, run: Run) -> Outcome:
        if run.windows and run.over:
            return not_recorded("no window of steps records a gradient norm")
        if run.metric_names and run.over:
            return not_applicable("the run has no windows of steps, so no gradient norm")
        return awaiting(run, "gradient norms")

    def _finding(
        self, run: Run, norms: NDArray[np.float64], places: NDArray[np.intp], i: int, *, exploded: bool = False
    ) -> Finding:
        import numpy as np

        window = run.windows[int(places[i])]
        usual = float(np.median(norms[max(0, i - BEFORE) : i])) if i else None
        bound = ceiling(self.bound)
        if exploded and usual is not None:
            bound = ceiling(self.explode * usual, f"{self.explode:g} times the median of the {BEFORE} windows before")
        return Finding(
            code="exploding" if exploded else "largest",
            metric="grad_norm_max",
            measured=float(norms[i]),
            bounds=(bound,),
            epoch=window.epoch,
            step=window.last_step,
            evidence=(Fact("median_before", usual), Fact("loss", window.loss_mean)),
            phrase="gradient norm {measured}",
        )


def _explosion(norms: NDArray[np.float64], factor: float) -> int | None:
    """Index of the window that completes 3 of 10 above ``factor`` times the running median; O(n)."""
    import numpy as np

    if len(norms) <= NEED:
        return None
    padded = np.concatenate([np.full(BEFORE, np.nan), norms[:-1]])
    before = np.lib.stride_tricks.sliding_window_view(padded, BEFORE)[NEED:]
    known, medians = ~np.isnan(before).all(axis=1), np.full(len(before), np.nan)
    medians[known] = np.nanmedian(before[known], axis=1)
    high = np.concatenate([np.zeros(NEED, dtype=bool), norms[NEED:] > factor * medians])
    counts = np.convolve(high, np.ones(SPAN, dtype=np.int64))[: len(high)]
    hits = np.flatnonzero(counts >= HITS)
    return int(hits[0]) if len(hits) else None


_CHECK, _NAN = GradNormBounded(), float("nan")

PASSES = (
    made.case("perfect_oracle", _CHECK, made.window_run([0.0] * 10, grad_norms=[0.0] * 10)),
    made.case(
        "falls_with_the_loss", _CHECK, made.window_run([1.0] * 40, grad_norms=[9.0 * 0.83**i for i in range(40)])
    ),
    made.case(
        "one_large_batch",
        _CHECK,
        made.window_run([1.0] * 40, grad_norms=[0.1] * 20 + [5.0] + [0.1] * 19),
        "largest",
        5.0,
    ),
)
FAILS = (
    made.case(
        "above_the_bound",
        _CHECK,
        made.window_run([1.0] * 3, grad_norms=[1.0, 2.0, 51.0], over=False),
        "largest",
        51.0,
        step=150,
    ),
    made.case(
        "explodes_below_the_bound",
        _CHECK,
        made.window_run([1.0] * 30, grad_norms=[0.01] * 20 + [0.5, 1.0, 2.0, 3.0, 4.0] + [5.0] * 5, over=False),
        "exploding",
        2.0,
        step=1150,
        median_before=0.01,
    ),
    made.case("nan", _CHECK, made.window_run([1.0] * 10, grad_norms=[1.0] * 9 + [_NAN]), measured=_NAN),
    made.case("nan_for_long", _CHECK, made.window_run([1.0] * 50, grad_norms=[1.0] * 9 + [_NAN] * 41), measured=_NAN),
)
