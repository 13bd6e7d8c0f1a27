"""evaluation_draws_nothing: no dropout is on in eval mode."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class EvaluationDrawsNothing(Watched):
    """In eval mode the model calls no functional dropout that drops anything, and no attention with dropout. The
    watcher tries it once, on a few rows of an early batch, and puts everything back.

    Why:
    model.eval() does not reach F.dropout: every evaluation is noisy and worse than the model is.

    Usual causes:
    - F.dropout without training=self.training.
    - dropout_p of scaled_dot_product_attention that does not depend on self.training.

    Fix:
    Use nn.Dropout, or pass training=self.training.

    Healthy runs that must pass:
    Dropout modules; models that sample in eval mode, such as variational ones.

    Source:
    This project's list of checks: val_mode.
    """

    event = "evaluation_dropout"

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="dropout_on",
            measured=event.values.get("dropouts"),
            bounds=(equal(0),),
            phrase="calls of a dropout that is on in eval mode: {measured}",
        )


_case = Cases(EvaluationDrawsNothing())
PASSES = (_case("perfect_oracle", [{"dropouts": 0.0}]), _case("tried_twice", [{"dropouts": 0.0}] * 2))
FAILS = (
    _case("functional", [{"dropouts": 2.0}], "dropout_on", 2.0, over=False),
    _case("not_a_number", [{"dropouts": float("nan")}]),
)
