"""infonce_removes_mean: a contrastive loss alone loses the direction that all targets share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.shares import active_terms
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from

CONTRASTIVE = ("info_nce", "info")
REGRESSION = ("mse",)
SMALL = 0.1
"""Weight of a regression term, as a share of InfoNCE's, up to which it does not decide (its value is smaller still)."""
STILL = 0.02
"""Cosine by which validation may move and is still said to stand still."""
LOST = 0.8
"""Share of the targets' cosine with their mean direction below which predictions have lost it."""


class InfonceRemovesMean(Cause):
    """InfoNCE is the only loss that asks for a direction, and it cannot see the one that all targets share."""

    reads_loss = True

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        terms = {**_configured(evidence.run), **active_terms(evidence.run)}
        contrastive = max((abs(terms[name]) for name in CONTRASTIVE if name in terms), default=0.0)
        regression = max((abs(terms[name]) for name in REGRESSION if name in terms), default=0.0)
        # Beside a regression term that counts the question is which of both wins: dominant_term.
        if not contrastive or regression > SMALL * contrastive:
            return None
        said = [*_direction(evidence), *_below(evidence)]
        if not said:
            return None
        return Diagnosis(
            name=self.name(),
            sentence=f"InfoNCE is the only main loss (mse weight {regression:g}), and it removes the common mean "
            "direction",
            evidence=tuple(said),
            ruled_out=evidence.ruled_out(
                {
                    "finite": "numerical trouble",
                    "generalisation_gap": "memorisation",
                    "lag_profile": "a scrambled order",
                }
            ),
            fix="train MSE (or 1 - cosine) as the main loss: loss = { mse = 1.0 }; a default weight of 0 is no choice",
            next="lvmcheck explain beats_baselines",
            score=0.85 if _stood_still(evidence) else 0.55,
        )


def _stood_still(evidence: Evidence) -> bool:
    """Validation stood where it is from the first epoch on, halfway to a constant: that is no memorisation.

    Memorisation costs what had been learned, or keeps validation near 0; here the loss never asked for more.
    """
    constant, values = evidence.run.facts.get("constant_mean"), evidence.run.series("val_cosine").values.tolist()
    if not isinstance(constant, float) or len(values) < 2:
        return False
    return bool(values[-1] >= constant / 2 and abs(values[-1] - values[0]) <= STILL)


def _configured(run: Run) -> dict[str, float]:
    """Weights of the config: it decides what is optimised, logged or not; windows say it better."""
    loss = None if run.windows else run.config.get("loss")
    weights = loss if isinstance(loss, Mapping) else {}
    return {str(name): float(w) for name, w in weights.items() if isinstance(w, int | float) and w}


def _direction(evidence: Evidence) -> list[str]:
    got, wanted = evidence.last("val_mean_direction"), evidence.last("val_target_mean_direction")
    if got is None or wanted is None or not got < LOST * wanted:
        return []
    return [
        f"cosine of predictions with the targets' mean direction {got:.3f}, of the targets {wanted:.3f}: adding any "
        "vector to all targets leaves InfoNCE as it is"
    ]


def _below(evidence: Evidence) -> list[str]:
    constant, val = evidence.run.facts.get("constant_mean"), evidence.last("val_cosine")
    if not isinstance(constant, float) or val is None or not val < constant:
        return []
    return [f"val cosine {val:.3f} is below a constant prediction ({constant:.3f})"]


def _run(loss: dict[str, float], val: float, direction: float) -> Run:
    said = {
        "train_loss": [1.4],
        **{f"train_loss_{name}": [1.4] for name in loss},
        "val_cosine": [val],
        "val_mean_direction": [direction],
        "val_target_mean_direction": [0.48],
    }
    return made.with_facts(run_from(said, config={"loss": loss}), {"constant_mean": 0.48})


_FACTS: dict[str, ev.Value] = {"constant_mean": 0.4218}

PASSES: Sequence[CauseCase] = (
    CauseCase(name="mse", run=_run({"mse": 1.0}, 0.56, 0.70)),
    CauseCase(name="infonce_on_data_without_a_mean", run=_run({"info_nce": 1.0}, 0.55, 0.50)),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="infonce_alone",
        run=_run({"info_nce": 1.0}, 0.30, 0.11),
        says=("InfoNCE is the only main loss", "mean direction 0.110", "below a constant prediction"),
    ),
    CauseCase(
        name="mse_of_a_twentieth",
        run=_run({"info_nce": 1.0, "mse": 0.05}, 0.4051, 0.12),
        says=("mse weight 0.05", "below a constant prediction (0.480)"),
    ),
    CauseCase(
        name="october_16_history",
        run=made.with_facts(
            run_from({"train_loss_info": [1.8], "val_cosine": [0.3539]}, config={"loss": {"info": 1.0}}), _FACTS
        ),
        says=("0.354 is below a constant prediction (0.422)",),
    ),
)
