"""loss_uses_output: the loss depends on the model's output."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class LossUsesOutput(Watched):
    """A gradient comes back to an output of the model in one of any three measured steps in a row.

    Why:
    A loss that is computed from a detached output, or from another one, trains nothing but what its other terms
    reach.

    Usual causes:
    - .detach(), .item(), .data or no_grad between output and loss.
    - The loss is computed from an old output, or from the target twice.
    - Only a regulariser reaches the parameters.

    Fix:
    Follow the output to the loss; print loss.grad_fn.

    Healthy runs that must pass:
    Rollouts with gradients enabled, beside forward passes that are trained; a fake that is detached for the
    discriminator.
    """

    event = "output_gradient"
    streak = 3

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="no_gradient",
            measured=event.values.get("reached"),
            bounds=(floor(1),),
            evidence=(Fact("total", event.values.get("forwards")),),
            phrase="{measured} of {total} outputs received a gradient",
        )


_case = Cases(LossUsesOutput())
PASSES = (
    _case("perfect_oracle", [{"forwards": 1, "reached": 1}] * 3),
    _case("rollout", [{"forwards": n, "reached": 1} for n in (1, 20, 1)]),
)
FAILS = (
    _case("detached", [{"forwards": 1, "reached": 0}] * 3, "no_gradient", 0, over=False, step=3),
    _case("not_a_number", [{"forwards": 1, "reached": float("nan")}] * 3),
)
