"""diverging: what was learned is lost again, or the loss grows."""

from __future__ import annotations

import numpy as np

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._by_code import Coded
from lvmcheck.causes.curves._signs import coded, found, gradient_facts, score_lost, train_facts, training_learns
from lvmcheck.causes.protocol import Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import shape


class Diverging(Coded):
    """A loss or score ends where it began, or worse, and the curves do not say why."""

    def by_figures(self, evidence: Evidence) -> Diagnosis | None:
        run = evidence.run
        finding = coded(evidence, "loss_diverging", *CODES)
        players = _players(run)
        if (finding is None or not _alone(evidence, finding)) and players is None:
            return None
        blind = run.curves.gradient is None and _grown(run)
        both = finding is not None and finding.code == "players_run_away"
        grows = evidence.failed("gradient_norm_grows")
        return found(
            self,
            Standing.LIKELY if players is not None else Standing.CONSISTENT,
            "the run diverges",
            (*finding_facts(finding), *([players] if players else []), *gradient_facts(run), *train_facts(run)),
            fix="go back to the checkpoint before the lowest loss; divide the learning rate by 3, clip the gradient "
            "norm, and "
            "look at what changed there",
            explain="loss_diverging",
            explains=("nothing_learned", "not_diverging", "gradient_norm_grows", "val_loss_descends"),
            also=(
                "learning_rate_too_high",
                *(("exploding_gradient",) if grows or players or both or blind else ()),
                *(("gradients_not_cleared",) if blind else ()),
                *(("label_mismatch", "loss_sign") if run.curves.adversarial else ()),
            ),
            tell_apart="repeat from that checkpoint with lr / 10: if it still diverges look at the batches of those "
            "steps",
        )


CODES = (
    *("above_start", "back_at_start", "gave_back", "far_above_minimum", "collapsed"),
    *("players_run_away", "both_climb", "climbs_to_the_end"),
)
GROWN = 10.0
"""Times its first level at which a training loss grew whatever else it shows."""
PLAYERS = 30.0
"""Times its first level at which a player's loss has run away."""


def _alone(evidence: Evidence, finding: Finding) -> bool:
    """Whether it is no matter of validation alone, nor of a run that learned nothing at all."""
    curve = evidence.run.curves.roles.get(str(finding.metric))
    if curve is not None and curve.quantity is Quantity.REWARD:
        return False
    of_training = curve is None or curve.split is not Split.VALIDATION
    if score_lost(evidence) is not None:
        return False  # no loss diverges
    trivial = evidence.failed("nothing_learned")
    if of_training and _grown(evidence.run):
        return True
    return (of_training or not training_learns(evidence.run)) and (trivial is None or trivial.code == "flat")


def _grown(run: Run) -> bool:
    """Whether the training loss ends at ten times its first level."""
    train = run.curves.train
    if train is None or len(train) < 3:
        return False
    levels = shape(train.values)
    return levels.last > GROWN * levels.first > 0


def _players(run: Run) -> Fact | None:
    """A loss of an adversarial run that grew by orders of magnitude."""
    for curve in run.curves.of(Quantity.TERM) if run.curves.adversarial else ():
        size = np.abs(curve.values)
        if len(size) >= 6 and float(size.max()) > PLAYERS * max(float(np.median(size[:3])), 1.0):
            at = int(size.argmax())
            return Fact(f"largest_{curve.name}", float(curve.values[at]), epoch=int(curve.epochs[at]))
    return None


PASSES = (
    case("falls", made.window_run(made.lines(40, 2.3, 0.4))),
    case("amn_584k", made.val_run(made.AMN_584K_VAL)),
)
FAILS = (
    case(
        "grows_to_chance",
        {"train_loss": made.lines(15, 10.8, 9.4, 1e3, 1e6), "val_loss": made.lines(15, 45.0, 13.7, 720.0)}
        | {"val_acc": made.lines(15, 0.37, 0.1, 0.1)},
    ),
    case(
        "climbs_late",
        {"loss": made.lines(20, 2.0, 0.5, 12.0), "val_loss": made.lines(20, 2.0, 0.6, 13.0)},
        Standing.CONSISTENT,
    ),
    case("without_a_rate", made.window_run([*made.lines(25, 2.3, 0.5), *made.lines(15, 0.5, 3.0)])),
)
