"""wrong_class: what was evaluated is not what was trained."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import Fact
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
        again, clusters = _reevaluated(evidence.run), _clusters(evidence.run)
        if not again and not clusters:
            return None
        sweep = evidence.failed("neighbour_sweep")
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED if again else Standing.LIKELY,
            phrase="the evaluated function is not the trained one: wrong class, or other weights",
            evidence=(*again, *clusters, *(sweep.evidence if sweep else ())),
            explains=frozenset({"reload_agrees", "neighbour_sweep", "ood_holds", "beats_baselines", "cosine_floor"}),
            ruled_out=evidence.ruled_out(
                {
                    "ood_same_space": "another encoder",
                    "generalisation_gap": "memorisation",
                    "finite": "numerical problems",
                }
            ),
            fix="save the class and its arguments with the weights and build the model from them, no load_state_dict "
            "into a class chosen by hand",
            next="lvmcheck explain neighbour_sweep",
        )


def _reevaluated(run: Run) -> list[Fact]:
    """Evaluations that repeat validation and do not get the recorded value."""
    found: list[Fact] = []
    for event in run.of(ev.Evaluation):
        again, recorded = event.metrics.get("val_cosine"), event.metrics.get(RECORDED)
        if again is not None and recorded is not None and abs(again - recorded) > FAR:
            found += [
                Fact("evaluation", event.about or event.name),
                Fact("val_cosine", again),
                Fact(RECORDED, recorded),
            ]
    return found


def _clusters(run: Run) -> list[Fact]:
    """Sets on which predictions are alike around a direction that the targets do not share, with a cosine near 0."""
    found: list[Fact] = []
    for event in run.of(ev.Evaluation):
        beyond, own = clustered(event), event.metrics.get("offset_0")
        if beyond is not None and own is not None and beyond > CLUSTERED and abs(own) < FAR:
            alike = Fact("similarity_of_predictions", event.metrics["self_similarity"])
            found += [Fact("evaluation", event.about or event.name), alike, Fact("cosine_with_target", own)]
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


PASSES = (
    case("reload_agrees", _run(_reload(0.5605, 0.5605))),
    case("amn_on_the_twin", _run(_sweep(0.537, 0.457, 0.675))),
    case("not_a_number", _run(_reload(float("nan"), 0.5605))),
    case("untrained", _run(_sweep(0.001, 0.01, 0.02))),
)
FAILS = (
    case("reloaded", _run(_reload(-0.0073, 0.5329)), val_cosine=-0.0073, recorded_val_cosine=0.5329),
    case(
        "ood_near_zero",
        _run(_sweep(-0.007, 0.61, 0.02)),
        Standing.LIKELY,
        similarity_of_predictions=0.61,
        pattern="flat",
    ),
)
