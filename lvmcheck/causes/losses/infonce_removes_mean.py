"""infonce_removes_mean: a contrastive loss alone loses the direction that all targets share."""

from __future__ import annotations

from collections.abc import Mapping

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Fact, facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.shares import active_terms
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from

CONTRASTIVE = ("info_nce", "info")
REGRESSION = ("mse",)
SMALL = 0.1
"""Weight of a regression term, as a share of InfoNCE's, up to which it does not decide (its value is smaller still)."""
EXPLAINS = frozenset(
    {
        "beats_baselines",
        "beats_constant",
        "cosine_floor",
        "improves",
        "loss_balance",
        "nothing_learned",
        "val_loss_descends",
    }
)
STILL = 0.02
"""Change of the validation cosine up to which it counts as constant."""
LOST = 0.8
"""Share of the targets' cosine with their mean direction below which predictions have lost it."""


class InfonceRemovesMean(Cause):
    """InfoNCE leads, by weight or by gradient, and it does not depend on the direction that all targets share."""

    reads_loss = True

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        terms = {**_configured(evidence.run), **active_terms(evidence.run)}
        contrastive = max((abs(terms[name]) for name in CONTRASTIVE if name in terms), default=0.0)
        regression = max((abs(terms[name]) for name in REGRESSION if name in terms), default=0.0)
        if not contrastive:
            return None
        if regression > SMALL * contrastive:
            return self._beside_regression(evidence)
        direction, below = _direction(evidence), _below(evidence)
        if not direction and not below:
            return None
        likely = bool(direction) or _constant(evidence)
        return Diagnosis(
            name=self.name(),
            standing=Standing.LIKELY if likely else Standing.CONSISTENT,
            phrase="InfoNCE is the only main loss (mse weight {mse_weight}) and does not see the common mean direction",
            evidence=(*facts(mse_weight=regression, info_nce_weight=contrastive), *direction, *below),
            explains=EXPLAINS,
            also=() if likely else ("memorisation",),
            tell_apart="" if likely else "record the cosine of predictions with the mean target (val_mean_direction)",
            ruled_out=evidence.ruled_out(
                {
                    "finite": "numerical problems",
                    "generalisation_gap": "memorisation",
                    "lag_profile": "a scrambled order",
                }
            ),
            fix="train MSE (or 1 - cosine) as the main loss: loss = { mse = 1.0 }; do not leave its weight at 0",
            next="lvmcheck explain beats_baselines",
        )

    def _beside_regression(self, evidence: Evidence) -> Diagnosis | None:
        """Beside a regression the gradients decide; more than 20 times as much is dominant_term's."""
        found = evidence.failed("beats_constant")
        if found is None or found.code != "mean_direction_lost":
            return None
        return Diagnosis(
            name=self.name(),
            standing=Standing.LIKELY,
            phrase="{term} has {gradient_ratio} the gradient norm of {next} and does not see the common mean direction",
            evidence=finding_facts(found),
            explains=EXPLAINS,
            ruled_out=evidence.ruled_out({"finite": "numerical problems", "lag_profile": "a scrambled order"}),
            fix="train MSE (or 1 - cosine) alone first; then add InfoNCE with a hundredth of its gradient norm",
            next="lvmcheck explain beats_constant",
        )


def _constant(evidence: Evidence) -> bool:
    """Validation stays where it is after the first epoch, halfway to a constant: that is no memorisation.

    Memorisation costs what had been learned, or leaves validation near 0; here the loss never required more.
    """
    constant, values = evidence.run.facts.get("constant_mean"), evidence.run.series("val_cosine").values.tolist()
    if not isinstance(constant, float) or len(values) < 2:
        return False
    return bool(values[-1] >= constant / 2 and abs(values[-1] - values[0]) <= STILL)


def _configured(run: Run) -> dict[str, float]:
    """Weights of the config, which holds terms that are not logged, too; windows are more exact."""
    loss = None if run.windows else run.config.get("loss")
    weights = loss if isinstance(loss, Mapping) else {}
    return {str(name): float(w) for name, w in weights.items() if isinstance(w, int | float) and w}


def _direction(evidence: Evidence) -> tuple[Fact, ...]:
    """Cosines with the targets' mean direction: adding any vector to all targets does not change InfoNCE."""
    got, of_targets = evidence.last("val_mean_direction"), evidence.last("val_target_mean_direction")
    if got is None or of_targets is None or not got < LOST * of_targets:
        return ()
    return facts(mean_direction=got, target_mean_direction=of_targets)


def _below(evidence: Evidence) -> tuple[Fact, ...]:
    """A validation cosine below that of a constant prediction."""
    constant, val = evidence.run.facts.get("constant_mean"), evidence.last("val_cosine")
    if not isinstance(constant, float) or val is None or not val < constant:
        return ()
    return facts(val_cosine=val, constant_mean=constant)


def _run(loss: dict[str, float], val: float, direction: float) -> Run:
    metrics = {
        "train_loss": [1.4 * sum(loss.values())],
        **{f"train_loss_{name}": [1.4] for name in loss},
        "val_cosine": [val],
        "val_mean_direction": [direction],
        "val_target_mean_direction": [0.48],
    }
    return made.with_facts(run_from(metrics, config={"loss": loss}), {"constant_mean": 0.48})


def _beside(weight: float, ratio: float, direction: float) -> Run:
    run = _run({"mse": 1.0, "info_nce": weight}, 0.29, direction)
    probe = ev.Probe(name="term_grad_norm", epoch=1, step=1, values={"mse": 0.06, "info_nce": 0.06 * ratio})
    at = next(i for i, event in enumerate(run.events) if isinstance(event, ev.Epoch))
    return Run(events=(*run.events[:at], probe, *run.events[at:]), info=run.info, done=run.done)


_FACTS: dict[str, ev.Value] = {"constant_mean": 0.4218}

PASSES = (
    case("small_beside_mse", _beside(0.001, 0.3, 0.12)),
    case("direction_kept_beside_mse", _beside(0.02, 9.0, 0.6)),
    case("mse", _run({"mse": 1.0}, 0.56, 0.70)),
    case("infonce_on_data_without_a_mean", _run({"info_nce": 1.0}, 0.55, 0.50)),
)
FAILS = (
    case(
        "a_fiftieth_of_the_weight_of_mse",
        _beside(0.02, 9.0, 0.12),
        Standing.LIKELY,
        gradient_ratio=9.0,
        term="info_nce",
        mean_direction=0.12,
    ),
    case(
        "infonce_alone",
        _run({"info_nce": 1.0}, 0.30, 0.11),
        Standing.LIKELY,
        mse_weight=0.0,
        mean_direction=0.11,
        val_cosine=0.30,
    ),
    case("mse_of_a_twentieth", _run({"info_nce": 1.0, "mse": 0.05}, 0.4051, 0.12), mse_weight=0.05, constant_mean=0.48),
    case(
        "october_16_history",
        made.with_facts(
            run_from({"train_loss_info": [1.8], "val_cosine": [0.3539]}, config={"loss": {"info": 1.0}}), _FACTS
        ),
        Standing.CONSISTENT,
        val_cosine=0.3539,
        constant_mean=0.4218,
    ),
)
