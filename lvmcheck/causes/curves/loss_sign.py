"""loss_sign: the loss is maximised, or its sign is that of another criterion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import coded, found, loss_diverged, train_facts, training_learns
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.events import Watch
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Direction
from lvmcheck.run.view import Run

EXPLAINS = (
    *("train_val_ratio", "never_negative", "loss_diverging", "nothing_learned", "overfits", "gradient_norm_grows"),
    *("memorises", "not_diverging", "term_sign", "loss_balance"),
)
CLIMBING = (
    *("finite", "first_non_finite", "gradient_by_depth", "gradient_reaches", "gradient_norm_steady", "update_size"),
    *("weights_keep_size", "first_updates_small", "metric_constant", "units_alive"),
)
"""What fails in a model whose loss was driven up."""


class LossSign(Cause):
    """The loss falls without limit or below 0 while what it stands for gets worse."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        negated = evidence.failed("loss_minimised")
        if negated is not None:
            return _negated(self, evidence, negated)
        away = coded(evidence, "loss_diverging", "runs_away")
        other = coded(evidence, "train_val_ratio", "other_sign")
        if other is not None and coded(evidence, "validation_in_scale", "far_above_and_wild") is not None:
            other = None  # see validation_differs
        driven, below = evidence.failed("term_sign"), coded(evidence, "never_negative", "negative")
        worse = _score_gets_worse(evidence)
        uphill = loss_diverged(evidence) if maximizes(evidence.run) else None
        if uphill is not None and uphill.code in ("above_start", "runs_away"):
            return _climbs(self, evidence, uphill)
        finding = driven or away or below or other or worse
        if finding is None:
            return self._score_alone(evidence)
        also: tuple[str, ...] = ("dominant_term",) if driven else ()
        if finding is below:
            also = ("numeric_range",)
        if finding is worse:
            players = ("label_mismatch", "weights_never_move") if evidence.run.curves.adversarial else ()
            also = ("learning_rate_too_high", "diverging", *players)
        return found(
            self,
            Standing.CONSISTENT if finding is worse else Standing.LIKELY,
            "the sign of the loss is wrong: it gets lower while the model gets worse",
            (*finding_facts(finding), *finding_facts(evidence.failed("loss_diverging")), *train_facts(evidence.run)),
            fix="compute the loss of a perfect and of a random prediction by hand: the perfect one must be lower",
            explain="never_negative" if below is finding else "loss_diverging",
            explains=EXPLAINS,
            also=also,
            tell_apart="(-loss).backward() for 100 steps: if the score rises it was the sign" if also else "",
        )

    def _score_alone(self, evidence: Evidence) -> Diagnosis | None:
        """A score that falls from the beginning while the loss does, too: the loss asks for something else."""
        finding = evidence.failed("metric_worsens")
        if finding is None:
            return None
        return found(
            self,
            Standing.CONSISTENT,
            "the loss prefers what the score calls worse: its sign, its targets or a trivial solution",
            (*finding_facts(finding), *train_facts(evidence.run)),
            fix="compute the loss of a perfect, of a constant and of a random prediction by hand: the perfect one must "
            "be lowest",
            explain="metric_worsens",
            explains=("nothing_learned", "overfits", "memorises", "loss_diverging"),
            also=("collapsed_representation", "wrong_scale", "label_mismatch", "not_learning"),
            tell_apart="print(outputs.std(0).mean()) of one batch at first and at last: near 0 is a collapse; else "
            "look at what is applied to the outputs before the loss",
        )


def _negated(cause: Cause, evidence: Evidence, finding: Finding) -> Diagnosis:
    return found(
        cause,
        Standing.MEASURED,
        "the loss is maximised: its cross-entropy or error has a negative factor",
        (*finding_facts(finding), *train_facts(evidence.run)),
        fix="remove the minus sign; compute the loss of a perfect prediction by hand: it must be the lowest",
        explain="loss_minimised",
        explains=(*EXPLAINS, *CLIMBING, "metric_worsens", "below_chance", "learns_slowly", "validation_in_scale"),
    )


def maximizes(run: Run) -> bool:
    """Whether every watched optimizer has ``maximize=True``: of several one may, as of two players."""
    moved = [event for event in run.of(Watch) if event.name == "movement"]
    return bool(moved) and all(event.values.get("maximizes") for event in moved)


def _climbs(cause: Cause, evidence: Evidence, finding: Finding) -> Diagnosis:
    return found(
        cause,
        Standing.MEASURED,
        "the optimizer maximises the loss (maximize=True), and the loss climbs",
        (*finding_facts(finding), *train_facts(evidence.run)),
        fix="remove maximize=True, or maximise the negative loss",
        explain="loss_diverging",
        explains=(*EXPLAINS, *CLIMBING),
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


def _uphill(losses: Sequence[float]) -> Run:
    run = made.window_run(losses)
    said = case_run("movement", [{"parameters": 4.0, "unchanged": 0.0, "learning_rate": 0.1, "maximizes": 1.0}])
    return replace(run, events=(*run.events, *said.events))


_DOWN = made.lines(20, -2.4, -4.0, -4.1)
PASSES = (
    case("density", {"loss": made.lines(20, 1.4, -2.0, -3.0, -3.2)}),
    case("maximises_a_negative_loss", _uphill(made.lines(20, 2.3, 0.4))),
    case("learns", {"loss": made.lines(20, 2.0, 0.2), "reward": made.lines(20, 10.0, 200.0)}),
)
FAILS = (
    case("below_its_lowest", {"val_bce": made.lines(8, 0.7, -4.0)}, Standing.LIKELY),
    case("runs_away", {"loss": [2.3, -4.0, -40.0, -160.0, -600.0, -2400.0]}, Standing.LIKELY),
    case("validation_has_the_other", {"loss": _DOWN, "val_loss": made.lines(20, 4.7, 4.85)}),
    case(
        "divergence_subtracted",
        made.window_run(
            made.lines(20, 0.9, -20.0, -4e3),
            terms={"recon": (1.0, [1.0] * 20), "kl": (1.0, made.lines(20, -0.1, -21.0, -4e3))},
        ),
    ),
    case(
        "score_is_minimised",
        {"train_loss": made.lines(20, 0.2, 0.01), "val_dice": made.lines(20, 6e-3, 4e-3, 3e-3)},
        Standing.CONSISTENT,
    ),
    case(
        "negated",
        case_run("loss_direction", [{"terms": 1.0, "known": 1.0, "maximised": 1.0}] * 4, ["NllLoss"]),
        Standing.MEASURED,
    ),
    case("maximize", _uphill(made.lines(20, 1.0, 9.0)), Standing.MEASURED),
    case("reward_falls", {"loss": wave(-0.1, 0.05), "reward": made.lines(20, 20.0, 9.5, 9.4)}),
)
