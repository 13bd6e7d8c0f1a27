"""gradient_by_depth: gradients neither vanish nor explode on the way to the first layers."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import band
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch

FACTOR = 1e4


@dataclass(frozen=True, kw_only=True)
class GradientByDepth(Watched):
    """The root mean square gradient of the first third of the layers is 1e-4 to 1e4 times that of the last third;
    five measured steps in a row outside fail. Layers are modules with a weight matrix, in the order of
    definition; biases, norms and embeddings do not count.

    Why:
    With a factor per layer that is not near 1 the first layers do not learn (or take all of the step), while the last
    ones fit what they can: the loss falls a little and stays.

    Usual causes:
    - Sigmoid or tanh in a deep stack, without norms or residual connections.
    - Weights that were initialised too small or too large.
    - Recurrence over many steps.

    Fix:
    Use ReLU-like activations, norms and residual connections, and the initialisation that belongs to them.

    Healthy runs that must pass:
    Biases before a norm; adapters that begin at zero; queries and keys with small gradients at the start.
    """

    event = "depth"
    streak = 5

    def look(self, event: Watch) -> Finding:
        ratio = event.values.get("first_over_last", float("nan"))
        return Finding(
            code="vanishing" if ratio < 1 else "exploding",
            measured=ratio,
            bounds=band(1 / FACTOR, FACTOR),
            evidence=(*names(event, "layers"), Fact("number_of_layers", event.values.get("layers"))),
            phrase="gradient of the first layers {measured} times that of the last ({layers})"
            if event.subjects
            else "gradient of the first layers {measured} times that of the last",
        )


_case = Cases(GradientByDepth())
PASSES = (
    _case("perfect_oracle", [{"first_over_last": 1.0, "layers": 6}] * 5),
    _case("a_factor_of_fifty", [{"first_over_last": 0.02, "layers": 6}] * 5),
)
FAILS = (
    _case(
        "twenty_sigmoids",
        [{"first_over_last": 1e-9, "layers": 20}] * 5,
        "vanishing",
        1e-9,
        subjects=["0.weight", "38.weight"],
        over=False,
        step=5,
    ),
    _case("exploding", [{"first_over_last": 1e6, "layers": 20}] * 5, "exploding", 1e6),
    _case("not_a_number", [{"first_over_last": float("nan"), "layers": 20}] * 5),
)
