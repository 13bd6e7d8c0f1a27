"""loss_not_computed: a 0 stands for a loss that was not computed."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._by_code import Coded
from lvmcheck.causes.curves._signs import found, gradient_facts
from lvmcheck.causes.protocol import Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.role_names import Quantity


class LossNotComputed(Coded):
    """The loss is exactly 0.0 where none was computed, or where a NaN was replaced."""

    def by_figures(self, evidence: Evidence) -> Diagnosis | None:
        alike = evidence.failed("terms_alike")
        if alike is not None:
            return found(
                self,
                Standing.LIKELY,
                "{other_metric} is not computed: it is {metric} again",
                (Fact("metric", alike.metric), *finding_facts(alike)),
                fix="print the outputs and targets of both for one batch; each needs its own",
                explain="terms_alike",
                explains=("nothing_learned", "overfits", "memorises", "loss_diverging", "loss_balance"),
                also=("label_mismatch",),
                tell_apart="compare the two lines of code word by word",
            )
        finding = evidence.failed("loss_exactly_zero")
        decided = any(float(abs(curve.values[-1])) < 1e-6 for curve in evidence.run.curves.of(Quantity.ENTROPY))
        if finding is None or finding.code != "exactly_zero" or decided:
            return None
        silent = evidence.failed("gradient_norm_zero") is not None or not any(
            f.value for f in gradient_facts(evidence.run)
        )
        replaced = finding.fact("before") is not None
        return found(
            self,
            Standing.LIKELY if replaced or silent else Standing.CONSISTENT,
            "the loss is exactly 0.0 in {values} values: it is not computed, or a NaN was replaced",
            (*finding_facts(finding), *gradient_facts(evidence.run)),
            fix="log the raw loss and turn off the filter of NaN; look at the labels and masks of the first such batch",
            explain="loss_exactly_zero",
            explains=("gradient_norm_zero", "nothing_learned", "metric_constant", "finite"),
            also=("numeric_range",) if replaced else ("loss_constant",),
            tell_apart="print(loss.item(), torch.isnan(logits).any(), (labels != -100).sum()) at that step",
        )


_FALL = made.lines(20, 2.3, 0.4)
PASSES = (
    case("falls", made.window_run(_FALL)),
    case("underflows", made.window_run([2.0 * 0.5**i for i in range(20)] + [0.0] * 10)),
)
FAILS = (
    case(
        "one_head_twice",
        made.window_run([2 * v for v in _FALL], terms={"kind": (1.0, _FALL), "size": (1.0, _FALL)}),
        Standing.LIKELY,
    ),
    case("nan_filtered", made.window_run([*_FALL, *[0.0] * 10]), Standing.LIKELY, before=0.4),
    case("never_computed", made.window_run([0.0] * 20, grad_norms=[0.0] * 20)),
)
