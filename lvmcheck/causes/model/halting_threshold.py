"""halting_threshold: the halting threshold is outside of the range of the probabilities."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

FEW = 2
"""Epochs before which a threshold below 1 is not blamed."""
ALL = 0.99
"""Share of the tokens at one step that counts as all of them."""


class HaltingThreshold(Cause):
    """The halting head learns, but its threshold is out of reach of the probabilities, or below all of them."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        failed = evidence.failed("halting_variance")
        probes = evidence.run.probes("halting")
        # A head that is not trained halts at one step too: dead_halting says so.
        if failed is None or failed.code != "step_variance" or not probes or evidence.failed("optimizer_coverage"):
            return None
        if evidence.failed("gradients_reach_every_parameter") or evidence.failed("declared_terms_in_graph"):
            return None
        values, epoch = probes[-1].values, probes[-1].epoch
        last = values.get("max", 0.0)
        ends = {"last": values.get(f"share_{last:.0f}", 0.0), "first": values.get("share_1", 0.0)}
        step = max(ends, key=lambda end: ends[end])
        if not ends[step] >= ALL or not values.get("p_variance", 0.0) > 0:
            return None
        threshold = _threshold(evidence.run)
        # Below 1 a longer training may bring the probabilities to it; nothing but the last step brings them to 1.
        never = threshold is not None and threshold >= 1.0 and step == "last"
        if not never and epoch < FEW:
            return None  # a head that has just begun looks the same
        words = "no token reaches the threshold before" if step == "last" else "every token reaches the threshold at"
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED if never else Standing.CONSISTENT,
            phrase=f"{words} the {step} of {{max_steps}}, while the halting probability differs between tokens",
            evidence=(
                Fact(f"share_at_{step}_step", ends[step], epoch=epoch),
                Fact("max_steps", last, "steps"),
                Fact("probability_variance", values["p_variance"], epoch=epoch),
                *((Fact("threshold", threshold),) if threshold is not None else ()),
            ),
            explains=frozenset({"halting_variance", "halting_adapts"}),
            also=() if never else ("undertrained",),
            tell_apart="" if never else "train longer: if the shares stay where they are, it is the threshold",
            ruled_out=evidence.ruled_out({"gradients_reach_every_parameter": "a head without gradient"}),
            fix="lower the threshold into the range of the cumulative halting probability"
            if step == "last"
            else "raise the threshold, or lower the ponder cost",
            next="lvmcheck explain halting_variance",
        )


def _threshold(run: Run) -> float | None:
    """The threshold, where the configuration of the model states it."""
    model = run.config.get("model")
    value = model.get("halting_threshold") if isinstance(model, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _run(variance: float, p: float, at: int, *, gradient: float = 1e-4, threshold: float = 1.0, epochs: int = 2) -> Run:
    shares = {f"share_{k}": float(k == at) for k in (1, 2, 3)} if variance == 0 else dict.fromkeys(("share_1",), 0.4)
    halting = {"mean": float(at), "variance": variance, "p_variance": p, "tokens": 4096.0, "max": 3.0, **shares}
    gradients = ev.Evaluation(name="gradients", metrics={"embedding.weight": 1e-3, "halting.weight": gradient})
    first, last = (ev.Probe(name="halting", epoch=n, step=100 * n, values=halting) for n in (1, 2))
    config = {"model": {"kind": "cognate", "halting_threshold": threshold}}
    return language.epochs([gradients, first], *([[last]] if epochs == 2 else []), config=config)


PASSES = (
    case("healthy", _run(0.3, 0.01, 2)),
    case("dead_head", _run(0.0, 0.001, 3, gradient=0.0)),
    case("one_probability_for_all", _run(0.0, 0.0, 3)),
    case("all_in_the_middle", _run(0.0, 0.001, 2)),
    case("just_begun", _run(0.0, 0.004, 3, threshold=0.9, epochs=1)),
)
FAILS = (
    case("out_of_reach", _run(0.0, 0.004, 3), Standing.MEASURED, share_at_last_step=1.0, threshold=1.0),
    case("below_all", _run(0.0, 0.004, 1, threshold=0.01), Standing.CONSISTENT, share_at_first_step=1.0),
    case("perhaps_untrained", _run(0.0, 0.004, 3, threshold=0.9), Standing.CONSISTENT),
)
