"""neighbour_sweep: predictions resemble their own target, more than what follows it and than any other target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, Finding, Outcome
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import Numbers, at_least, each_evaluation
from lvmcheck.checks.shared.epochs import check_number
from lvmcheck.errors import BadValueError
from lvmcheck.run.events import Evaluation
from lvmcheck.run.view import Run

OFFSET = "offset_"
FLIPPED = -0.1
"""A mean cosine below this is no chance: something has changed its sign."""
CLUSTERED = 0.2
"""Self-similarity beyond what the targets' mean direction accounts for; 0.00 to 0.01 in healthy runs."""


@dataclass(frozen=True, kw_only=True)
class NeighbourSweep(Check):
    """On every swept set, predictions have a higher cosine with their own target than with any later chunk.

    Offset 0, the target, is at least `margin` above the cosine with targets of unrelated windows, and not below any
    offset after it. Offsets before the target are shown and not judged: the best predictor in the squared sense may
    be closer to its context than to its target. The evaluations "sweep" come from the end of a run.

    Why:
    A mean cosine alone cannot tell a poor model from a wrong one. In the original project, weights loaded into another
    class of the same tensor names and shapes gave -0.015 to -0.019 at every offset: flat, so not "bad generalisation"
    but no relation at all. Its test of offsets was off by one: it required that offset +1 beat the target by 0.12,
    which a perfect predictor misses by 0.54.

    Usual causes:
    - Wrong class or wrong weights were evaluated (flat, near 0, predictions alike).
    - The vectors come from another encoder (flat on that set alone).
    - The model has collapsed to the mean of its targets (flat, and as high as a constant prediction).
    - A sign was flipped (strongly negative), or targets are shifted by one (a later offset is highest).

    Fix:
    Sweep validation through the very code that gave the flat sweep: if it is flat there, too, the code or the class
    is wrong; if not, compare the two sets with `lvmcheck gate`.

    Healthy runs that must pass:
    A perfect predictor (offset 0 at 1, offset +1 at the adjacent cosine); a mean of the context, whose cosine with
    its own context is far above that with its target.

    Source:
    history 6 and 7 (neighbour sweeps and 5CAT gate A, as read in the code); sweeps of every model on the twin.
    """

    metric_fields = ()

    margin: float = 0.03
    evaluation: str = "sweep"

    def __post_init__(self) -> None:
        check_number("margin", self.margin, 0.0, 2.0)
        if not self.evaluation:
            raise BadValueError("evaluation", "expected a name, got an empty string")

    def detail(self) -> str:
        return "" if self.evaluation == "sweep" else self.evaluation

    def judge(self, run: Run) -> Outcome:
        lacks = "no target was compared with its neighbours"
        return each_evaluation(run, self.evaluation, self._compare, lacks)

    def _compare(self, event: Evaluation) -> list[Finding]:
        """The target against unrelated targets, and against the chunks after it where there are any."""
        known = Numbers(event.metrics)
        own, other = known.number(f"{OFFSET}0"), known.number("unrelated")
        shown = _evidence(event, own - other, self.margin)
        phrase = "cosine with the target less that with unrelated targets on {set} is {measured}"
        found = [at_least("above_unrelated", own - other, self.margin, evidence=shown, phrase=phrase)]
        after = [value for offset, value in offsets(event).items() if offset > 0]
        if after:
            highest = math.nan if any(map(math.isnan, after)) else max(after)
            phrase = "cosine with the target less that with any chunk after it on {set} is {measured}"
            found.append(at_least("above_following", own - highest, 0.0, evidence=shown, phrase=phrase))
        return found


def offsets(event: Evaluation) -> dict[int, float]:
    """Offset from the target -> mean cosine, ascending."""
    named = {name.removeprefix(OFFSET): value for name, value in event.metrics.items() if name.startswith(OFFSET)}
    return {int(text): named[text] for text in sorted(named, key=int)}


def clustered(event: Evaluation) -> float | None:
    """Self-similarity of the predictions beyond that of a cluster around the targets' mean direction."""
    alike, direction = event.metrics.get("self_similarity"), event.metrics.get("mean_direction")
    return None if alike is None or direction is None else alike - direction * direction


def _evidence(event: Evaluation, lead: float, margin: float) -> tuple[Fact, ...]:
    known = offsets(event)
    found = [Fact("set", event.about or "the swept set")]
    if not lead >= margin:
        found.append(Fact("pattern", "sign flip" if known[0] < FLIPPED else "flat"))
    found += [Fact(f"{OFFSET}{offset}", value) for offset, value in known.items()]
    found.append(Fact("unrelated", event.metrics["unrelated"]))
    if max(known) == 0:
        found.append(Fact("chunks_after_target", None))
    beyond = clustered(event)
    if beyond is not None and beyond > CLUSTERED:
        found += [Fact(name, event.metrics[name]) for name in ("self_similarity", "mean_direction")]
    return tuple(found)


def _swept(*sets: tuple[str, Sequence[float], float], over: bool = True, **more: float) -> Run:
    """A run with sweeps: name, cosines at offsets -3 to the last, and the cosine with unrelated targets."""
    run = made.val_run(made.AMN_584K_VAL, over=over)
    return run.extended(
        Evaluation(
            name="sweep",
            metrics={f"{OFFSET}{k - 3}": value for k, value in enumerate(values)} | {"unrelated": other, **more},
            about=about,
        )
        for about, values, other in sets
    )


# AMN on the twin; the wrong class on the original project's OOD set; its transformer of October 24.
_AMN = (0.733, 0.730, 0.699, 0.537, 0.511, 0.494, 0.483)
_WRONG = (-0.0056, -0.0061, -0.0068, -0.0070, -0.0072, -0.0075, -0.0077)
_TRANSFORMER = (0.614, 0.632, 0.690, 0.584, 0.557, 0.544, 0.536)
_case = made.Cases(NeighbourSweep())

PASSES = (
    _case("perfect_oracle", _swept(("validation", (0.365, 0.388, 0.457, 1.0, 0.457, 0.387, 0.365), 0.18))),
    _case("amn_on_the_twin", _swept(("validation", _AMN, 0.331)), "above_following", 0.026),
    _case("transformer_october_24", _swept(("validation", _TRANSFORMER, 0.28))),
    _case("windows_out_of_reading_order", _swept(("validation", _AMN[:4], 0.331))),
)
FAILS = (
    _case(
        "wrong_class",
        _swept(("validation", _AMN, 0.331), ("ood.other", _WRONG, -0.0068), self_similarity=0.61, mean_direction=0.02),
        "above_unrelated",
        set="ood.other",
        pattern="flat",
        self_similarity=0.61,
    ),
    _case("collapsed", _swept(("validation", (0.48,) * 7, 0.48)), pattern="flat"),
    _case("sign_flip", _swept(("validation", [-x for x in _AMN], -0.331)), pattern="sign flip", offset_0=-0.537),
    _case(
        "shifted_by_one",
        _swept(("validation", (0.63, 0.69, 0.58, 0.56, 0.584, 0.54, 0.53), 0.28)),
        "above_following",
        -0.024,
    ),
    _case("nan", _swept(("validation", (math.nan,) * 7, 0.3)), measured=math.nan),
    _case("nan_after", _swept(("validation", (*_AMN[:5], math.nan, 0.4), 0.3)), "above_following", math.nan),
)
