"""val_identity: validation loss and validation cosine speak of the same predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, passed
from lvmcheck.checks.protocol import Check, missing_metric
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import (
    awaiting,
    by_epoch,
    check_count,
    check_number,
    complete,
    not_at_end,
    not_finite,
)
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class ValIdentity(Check):
    """val_loss = 2 (1 - val_cosine) / D in every epoch, to `tolerance` relative.

    It holds exactly for the mean squared error between unit predictions and unit targets of D dimensions. D is `dim`,
    or the fact "dim" of the data. Not applicable where D is not known, or where the run validates another loss: the
    fact "val_loss" names one, or val_loss is 1 - val_cosine in every epoch.

    Why:
    It is the cheapest consistency check there is: it held to 2.3e-10 in all 1,000 recorded epochs of the original
    project. When it breaks, loss and cosine were computed on different rows, different weights, or vectors that are
    not of unit length, and the best checkpoint is chosen by one number and praised by the other.

    Usual causes:
    - Targets (or the predictions that enter the loss) are not of unit length.
    - Loss and cosine come from different passes: other weights, dropout on, another subset.
    - One of the two is averaged over batches unweighted, the other over samples, and the last batch is short.
    - The validation loss contains a further term.

    Fix:
    Compute both from the same tensors in one pass, without gradients and in eval mode, and average over samples.

    Healthy runs that must pass:
    A perfect predictor (0 and 1); a negative cosine early in a run.

    Source:
    Derived: |p - y|^2 = 2 - 2 p.y for unit vectors; checked on the recorded histories.
    """

    universal = True
    metric_fields = ("loss", "cosine")

    loss: str = "val_loss"
    cosine: str = "val_cosine"
    dim: int | None = None
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        if self.dim is not None:
            check_count("dim", self.dim)
        check_number("tolerance", self.tolerance, 0.0, 1.0)

    def judge(self, run: Run) -> Outcome:
        for metric in (self.loss, self.cosine):
            absent = missing_metric(run, metric)
            if absent is not None:
                return absent
        loss, cosine = run.series(self.loss), by_epoch(run, self.cosine)
        if not len(loss) or not len(cosine):
            return awaiting(run, f"{self.loss} and {self.cosine}")
        dim = self.dim if self.dim is not None else run.facts.get("dim")
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
            return not_applicable("the dimension of the vectors is not recorded (fact 'dim')")
        if "val_loss" in run.facts:
            return not_applicable(f"the run validates another loss: {run.facts['val_loss']}")
        pairs = [(int(e), float(x), cosine.get(int(e))) for e, x in zip(loss.epochs, loss.values, strict=True)]
        if all(c is not None and math.isclose(x, 1 - c, rel_tol=1e-6, abs_tol=1e-9) for _, x, c in pairs) and dim != 2:
            return not_applicable(f"{self.loss} is 1 - {self.cosine}, another validation loss")
        return self._compare(run, pairs, dim)

    def _compare(self, run: Run, pairs: list[tuple[int, float, float | None]], dim: int) -> Outcome:
        findings = []
        for epoch, loss, cosine in pairs:
            if cosine is None:
                return not_recorded(f"{self.cosine} is not recorded at epoch {epoch}, where {self.loss} is")
            findings.append(self._finding(epoch, loss, cosine, dim))
            if not findings[-1].number <= self.tolerance:
                return failed(findings[-1], evaluated=len(findings))
        broken = not_finite(run.series(self.cosine))
        if broken is not None:
            return broken
        if not complete(run):
            return awaiting(run, "the remaining epochs", evaluated=len(findings))
        cut = not_at_end(run, run.series(self.loss)) or not_at_end(run, run.series(self.cosine))
        return cut or passed(max(findings, key=lambda finding: finding.number), evaluated=len(findings))

    def _finding(self, epoch: int, loss: float, cosine: float, dim: int) -> Finding:
        expected = 2 * (1 - cosine) / dim
        # Next to a cosine of 1 the difference 1 - cosine has lost its digits: 1e-9 of the largest possible loss is 0.
        apart = abs(loss - expected) / max(abs(expected), abs(loss), 4e-9 / dim)
        return Finding(
            code="identity",
            metric=self.loss,
            measured=apart,
            bounds=(ceiling(self.tolerance),),
            epoch=epoch,
            evidence=(
                Fact(self.loss, loss),
                Fact("expected", expected),
                Fact(self.cosine, cosine),
                Fact("dim", dim),
                *([Fact("factor", loss / expected, "x")] if apart > self.tolerance and expected else []),
            ),
            phrase="relative difference of {metric} from 2 (1 - cosine) / {dim} is {measured}",
        )


_case = made.Cases(ValIdentity())
_UNIT = {"dim": made.D}

PASSES = (
    _case("perfect_oracle", made.val_run([0.5, 1.0], facts=_UNIT)),
    _case("amn_584k", made.val_run(made.AMN_584K_VAL, facts=_UNIT)),
    made.case("attempt_2_fails_elsewhere", ValIdentity(dim=made.D), made.val_run(made.AMN_790K_2_VAL)),
    _case("negative_cosine", made.val_run([-0.003, 0.016, 0.005], facts=_UNIT)),
)
FAILS = (
    _case("cosine_from_other_weights", made.val_run([0.5, 0.5], facts=_UNIT, val_cosine=[0.5, 0.51]), epoch=2),
    _case("targets_of_length_2", made.val_run([0.5], facts=_UNIT, val_loss=[3 / made.D]), factor=3.0),
    _case("nan_loss", made.val_run([0.5, 0.5], facts=_UNIT, val_loss=[1 / made.D, float("nan")])),
    _case("nan_cosine", made.val_run([0.5], facts=_UNIT, val_cosine=[float("nan")])),
)
