"""neighbour_sweep: predictions resemble their own target, more than what follows it and than any other target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Outcome
from lvmcheck.checks.wording import figure
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import Comparison, Numbers, at_least, each_evaluation
from lvmcheck.checks.shared.epochs import check_number
from lvmcheck.run.events import Evaluation
from lvmcheck.run.view import Run

OFFSET = "offset_"
FLIPPED = -0.1
"""A mean cosine below this is no chance: something has changed its sign."""
CLUSTERED = 0.2
"""Self-similarity beyond what the targets' mean direction accounts for; 0.00 to 0.01 in healthy runs."""


@dataclass(frozen=True, kw_only=True)
class NeighbourSweep(Check):
    """On every swept set, predictions have a higher cosine with their own target than with any other chunk asked for.

    Offset 0, the target, is at least `margin` above the cosine with targets of unrelated windows, and not below any
    offset after it. Offsets before the target are shown and not judged: the best predictor in the squared sense may
    be closer to its context than to its target. The evaluations "sweep" come from the end of a run.

    Why:
    A mean cosine alone cannot tell a poor model from a wrong one. Weights loaded into another class of the same
    tensor names and shapes gave the ancestors -0.015 to -0.019 at every offset: flat, so not "bad generalisation" but
    no relation at all. Their own test of offsets was off by one: it asked that offset +1 beat the target by 0.12,
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
    The ancestors' neighbour sweeps and 5CAT gate A, as read in their code; sweeps of every model on the twin.
    """

    metric_fields = ()

    margin: float = 0.03
    evaluation: str = "sweep"

    def __post_init__(self) -> None:
        check_number("margin", self.margin, 0.0, 2.0)
        if not self.evaluation:
            raise ValueError("evaluation: expected a name, got an empty string")

    def detail(self) -> str:
        return "" if self.evaluation == "sweep" else self.evaluation

    def judge(self, run: Run) -> Outcome:
        lacks = "no target was compared with its neighbours"
        return each_evaluation(run, self.evaluation, self._compare, lacks)

    def _compare(self, event: Evaluation) -> list[Comparison]:
        """The target against unrelated targets, and against the chunks after it where there are any."""
        known = Numbers(event.metrics)
        own, other = known.number(f"{OFFSET}0"), known.number("unrelated")
        shown = _evidence(event, own - other, self.margin)
        where = f" on {event.about}" if event.about else ""
        what = f"cosine with the target above that with unrelated targets{where}"
        found = [at_least(what, own - other, self.margin, shown)]
        after = {offset: value for offset, value in offsets(event).items() if offset > 0}
        if after:
            highest = math.nan if any(map(math.isnan, after.values())) else max(after.values())
            what = f"cosine with the target above that with any chunk after it{where}"
            found.append(at_least(what, own - highest, 0.0, shown))
        return found


def offsets(event: Evaluation) -> dict[int, float]:
    """Offset from the target -> mean cosine, ascending."""
    named = {name.removeprefix(OFFSET): value for name, value in event.metrics.items() if name.startswith(OFFSET)}
    return {int(text): named[text] for text in sorted(named, key=int)}


def clustered(event: Evaluation) -> float | None:
    """Self-similarity of the predictions beyond that of a cluster around the targets' mean direction."""
    alike, direction = event.metrics.get("self_similarity"), event.metrics.get("mean_direction")
    return None if alike is None or direction is None else alike - direction * direction


def _evidence(event: Evaluation, lead: float, margin: float) -> tuple[str, ...]:
    known = offsets(event)
    listed = " ".join(figure(value) for value in known.values())
    said = [
        f"{event.about or 'this set'}, offsets {min(known)} to {max(known)} from the target: {listed}; "
        f"an unrelated target {figure(event.metrics['unrelated'])}"
    ]
    if max(known) == 0:
        said.append("chunks after the target were not measured: the windows are not in reading order")
    if not lead >= margin:
        flat = "flat: predictions have no relation to their targets; wrong class or weights, another encoder, collapse"
        said.insert(0, f"sign flip: cosine {figure(known[0])} with the target" if known[0] < FLIPPED else flat)
    beyond = clustered(event)
    if beyond is not None and beyond > CLUSTERED:
        said.append(
            f"predictions are alike (self-similarity {figure(event.metrics['self_similarity'])}) around a direction "
            f"that the targets do not share (cosine {figure(event.metrics['mean_direction'])} with their mean)"
        )
    return tuple(said)


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


# AMN and a linear mixture on the twin; the wrong class on the ancestors' OOD set; their transformer of October 24.
_AMN = (0.733, 0.730, 0.699, 0.537, 0.511, 0.494, 0.483)
_WRONG = (-0.0056, -0.0061, -0.0068, -0.0070, -0.0072, -0.0075, -0.0077)
_TRANSFORMER = (0.614, 0.632, 0.690, 0.584, 0.557, 0.544, 0.536)
_CHECK = NeighbourSweep()

PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, _swept(("validation", (0.365, 0.388, 0.457, 1.0, 0.457, 0.387, 0.365), 0.18))),
    made.case("amn_on_the_twin", _CHECK, _swept(("validation", _AMN, 0.331)), ("0.0260",)),
    made.case("transformer_october_24", _CHECK, _swept(("validation", _TRANSFORMER, 0.28))),
    made.case("windows_out_of_reading_order", _CHECK, _swept(("validation", _AMN[:4], 0.331))),
)
FAILS: Sequence[Case] = (
    made.case(
        "wrong_class",
        _CHECK,
        _swept(("validation", _AMN, 0.331), ("ood.other", _WRONG, -0.0068), self_similarity=0.61, mean_direction=0.02),
        ("flat", "on ood.other", "wrong class", "predictions are alike"),
    ),
    made.case("collapsed", _CHECK, _swept(("validation", (0.48,) * 7, 0.48)), ("flat",)),
    made.case("sign_flip", _CHECK, _swept(("validation", [-x for x in _AMN], -0.331)), ("sign flip", "-0.5370")),
    made.case(
        "shifted_by_one",
        _CHECK,
        _swept(("validation", (0.63, 0.69, 0.58, 0.56, 0.584, 0.54, 0.53), 0.28)),
        ("any chunk after it", "-0.0240"),
    ),
    made.case("nan", _CHECK, _swept(("validation", (math.nan,) * 7, 0.3)), ("NaN",)),
    made.case("nan_after", _CHECK, _swept(("validation", (*_AMN[:5], math.nan, 0.4), 0.3)), ("NaN",)),
)
