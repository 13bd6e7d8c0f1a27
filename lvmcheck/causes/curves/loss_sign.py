"""loss_sign: the loss is maximised, or its sign is that of another criterion."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.curves._signs import coded, found, train_facts, training_learns
from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Direction
from lvmcheck.run.view import run_from


class LossSign(Cause):
    """The loss falls without limit or below 0 while what it stands for gets worse."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        away = coded(evidence, "loss_diverging", "runs_away")
        other = coded(evidence, "train_val_ratio", "other_sign")
        worse = _score_gets_worse(evidence)
        finding = away or other or worse
        if finding is None:
            return None
        players = ("label_mismatch",) if evidence.run.curves.adversarial else ()
        also = () if away or other else ("learning_rate_too_high", "diverging", *players)
        return found(
            self,
            Standing.LIKELY if away or other else Standing.CONSISTENT,
            "the sign of the loss is wrong: it gets lower while the model gets worse",
            (*finding_facts(finding), *finding_facts(evidence.failed("loss_diverging")), *train_facts(evidence.run)),
            fix="compute the loss of a perfect and of a random prediction by hand: the perfect one must be lower",
            explain="loss_diverging",
            explains=(
                "train_val_ratio",
                "nothing_learned",
                "overfits",
                "gradient_norm_grows",
                "memorises",
                "not_diverging",
            ),
            also=also,
            tell_apart="(-loss).backward() for 100 steps: if the score rises it was the sign" if also else "",
        )


def _score_gets_worse(evidence: Evidence) -> Finding | None:
    """A reward or score that fell below its beginning and stays there; of a GAN its distance."""
    finding = coded(evidence, "loss_diverging", "above_start")
    role = evidence.run.curves.roles.get(str(finding.metric)) if finding is not None else None
    if finding is None or role is None or role.quantity is Quantity.LOSS:
        return None
    if role.quantity is Quantity.REWARD or evidence.run.curves.adversarial:
        return finding
    return finding if role.direction is Direction.HIGHER and not training_learns(evidence.run) else None


_DOWN = made.lines(20, -2.4, -4.0, -4.1)
PASSES: Sequence[CauseCase] = (
    CauseCase(name="density", run=run_from({"loss": made.lines(20, 1.4, -2.0, -3.0, -3.2)})),
    CauseCase(name="learns", run=run_from({"loss": made.lines(20, 2.0, 0.2), "reward": made.lines(20, 10.0, 200.0)})),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="runs_away", run=run_from({"loss": [2.3, -4.0, -40.0, -160.0, -600.0, -2400.0]}), standing=Standing.LIKELY
    ),
    CauseCase(name="validation_has_the_other", run=run_from({"loss": _DOWN, "val_loss": made.lines(20, 4.7, 4.85)})),
    CauseCase(name="reward_falls", run=run_from({"loss": wave(-0.1, 0.05), "reward": made.lines(20, 20.0, 9.5, 9.4)})),
)
