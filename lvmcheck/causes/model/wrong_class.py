"""wrong_class: what was evaluated is not what was trained."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.model.neighbour_sweep import CLUSTERED, clustered
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

RECORDED = "recorded_val_cosine"
FAR = 0.05
"""A validation cosine that moves this much after loading was computed by another function."""


class WrongClass(Cause):
    """Weights were loaded into another class (or are other weights): the evaluated function was never trained."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        said = [*_reevaluated(evidence.run), *_clusters(evidence.run)]
        if not said:
            return None
        sweep = evidence.failed("neighbour_sweep")
        return Diagnosis(
            name=self.name(),
            sentence="the wrong class was evaluated: the weights fit, its forward pass was never trained",
            evidence=(*said, *(sweep.evidence if sweep else ())),
            ruled_out=evidence.ruled_out(
                {
                    "ood_same_space": "another encoder",
                    "generalisation_gap": "memorisation",
                    "finite": "numerical trouble",
                }
            ),
            fix="load checkpoints through models.reload.load_model, which refuses another class; never with "
            "load_state_dict into a class chosen by hand",
            next="lvmcheck explain neighbour_sweep",
            score=0.96,
        )


def _reevaluated(run: Run) -> list[str]:
    """Evaluations that repeat validation and do not get the recorded value."""
    return [
        f"val cosine {event.metrics['val_cosine']:.4f} in evaluation {event.name!r}, {event.metrics[RECORDED]:.4f} "
        f"when it was trained{f' ({event.about})' if event.about else ''}"
        for event in run.of(ev.Evaluation)
        if {"val_cosine", RECORDED} <= event.metrics.keys()
        and abs(event.metrics["val_cosine"] - event.metrics[RECORDED]) > FAR
    ]


def _clusters(run: Run) -> list[str]:
    """Sets on which predictions are alike around a direction that the targets do not share, and hit nothing."""
    found = []
    for event in run.of(ev.Evaluation):
        beyond, own = clustered(event), event.metrics.get("offset_0")
        if beyond is not None and own is not None and beyond > CLUSTERED and abs(own) < FAR:
            found.append(
                f"predictions on {event.about or event.name} are alike (self-similarity "
                f"{event.metrics['self_similarity']:.3f}) and near 0 with their targets (cosine {own:.3f})"
            )
    return found


def _run(*evaluations: ev.Evaluation) -> Run:
    return made.val_run(made.AMN_584K_VAL).extended(evaluations)


def _reload(value: float, recorded: float) -> ev.Evaluation:
    return ev.Evaluation(name="reload", metrics={"val_cosine": value, RECORDED: recorded}, about="checkpoint best")


def _sweep(own: float, alike: float, direction: float) -> ev.Evaluation:
    metrics = {
        "offset_0": own,
        "offset_1": own - 0.0002,
        "unrelated": own,
        "self_similarity": alike,
        "mean_direction": direction,
    }
    return ev.Evaluation(name="sweep", metrics=metrics, about="ood.other")


PASSES: Sequence[CauseCase] = (
    CauseCase(name="reload_agrees", run=_run(_reload(0.5605, 0.5605))),
    CauseCase(name="amn_on_the_twin", run=_run(_sweep(0.537, 0.457, 0.675))),
    CauseCase(name="not_a_number", run=_run(_reload(float("nan"), 0.5605))),
    CauseCase(name="untrained", run=_run(_sweep(0.001, 0.01, 0.02))),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="reloaded", run=_run(_reload(-0.0073, 0.5329)), says=("wrong class", "-0.0073", "0.5329")),
    CauseCase(name="ood_near_zero", run=_run(_sweep(-0.007, 0.61, 0.02)), says=("wrong class", "0.610", "flat")),
)
