"""weights_never_move: the weights that are evaluated do not change."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._by_code import Coded
from lvmcheck.causes.curves._signs import coded, evaluation_moves, found, gradient_facts, training_learns
from lvmcheck.causes.protocol import Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.view import Run, run_from


class WeightsNeverMove(Coded):
    """No gradient arrives, or no step is taken: the evaluated weights are the initial ones."""

    def by_figures(self, evidence: Evidence) -> Diagnosis | None:
        if evidence.failed("learning_rate_zero") or evidence.failed("loss_exactly_zero") or evidence.failed("finite"):
            return None
        silent = evidence.failed("gradient_norm_zero")
        if silent is not None and silent.code == "always_zero":
            return found(
                self,
                Standing.MEASURED,
                "no gradient arrives: the gradient norm is 0 in all of {values} recorded values",
                finding_facts(silent),
                fix="find where the loss leaves the graph: detach(), no_grad(), .item(), argmax",
                explain="gradient_norm_zero",
                explains=EXPLAINS,
            )
        stuck, flat = coded(evidence, "metric_constant", "constant"), evidence.failed("nothing_learned")
        if (
            stuck is None
            or not stuck.number
            or stuck.metric in ("train_loss", "loss")
            or (flat is None and (training_learns(evidence.run) or evaluation_moves(evidence.run)))
        ):
            return None
        policy = _reward(evidence, stuck)  # which may do the same in every episode, however its weights move
        return found(
            self,
            Standing.LIKELY if flat is not None and not policy else Standing.CONSISTENT,
            "{evaluations} evaluations give one and the same number: the evaluated weights may not move"
            if policy
            else "the evaluated weights do not move: {evaluations} evaluations give one and the same number",
            (*finding_facts(stuck), *finding_facts(flat), *gradient_facts(evidence.run)),
            fix="call optimizer.step(), and build the optimizer from the parameters of the model that is evaluated",
            explain="metric_constant",
            explains=EXPLAINS,
            also=("metric_constant", *(("not_learning", "copy_never_updated", "label_mismatch") if policy else ())),
            tell_apart="p = next(model.parameters()).clone() before an optimizer step; print((p - "
            "p_after).abs().max()) after",
        )


def _reward(evidence: Evidence, finding: Finding) -> bool:
    role = evidence.run.curves.roles.get(str(finding.metric))
    return role is not None and role.quantity is Quantity.REWARD


EXPLAINS = ("nothing_learned", "metric_constant", "gradient_norm_zero", "val_loss_moves", "loss_diverging", "memorises")


def _flat(**more: Sequence[float]) -> Run:
    return run_from({"train_loss": wave(2.3, 0.02), "val_loss": [2.3025851] * 20, **more})


PASSES = (
    case("learns", {"train_loss": made.lines(20, 2.3, 0.4), "val_loss": made.lines(20, 2.3, 0.5)}),
    case("rate_zero", _flat(lr=[0.0] * 20)),
)
FAILS = (
    case("never_stepped", _flat(), Standing.LIKELY),
    case("cut_graph", made.window_run(wave(2.3, 0.02, 40), grad_norms=[0.0] * 40), Standing.MEASURED, values=40),
)
