"""targets_differ_by_row: rows of a regression keep their own targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding, Outcome
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

EXACT = 1e-8


@dataclass(frozen=True, kw_only=True)
class TargetsDifferByRow(Watched):
    """The gradient of an output with one number a row is not an exact linear function of the output towards the mean
    of a batch, with targets that change from batch to batch, five measured steps in a row.

    Why:
    With outputs [N, 1] and targets [N] a squared error compares every output with every target: each row is pulled to
    the mean of the batch, and the loss ends at the variance of the targets.

    Usual causes:
    - output [N, 1] and target [N] are broadcast to [N, N].
    - All targets of a batch are the same.

    Fix:
    output.squeeze(-1), or target.unsqueeze(-1).

    Healthy runs that must pass:
    Least-squares GANs, whose targets are constants; outputs that are all alike at the start; losses other than a
    squared error.
    """

    event = "targets"
    streak = 5

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        """Forward passes of one step that are pulled to different targets are those of data and samples."""
        pulled: dict[int, list[float]] = {}
        for event in events:
            if event.values.get("slope", 0.0) > 0:
                pulled.setdefault(event.step, []).append(event.values.get("target", 0.0))
        apart = {step for step, found in pulled.items() if max(found) - min(found) > 0.5 * max(map(abs, found))}
        return super().decide_on(run, [event for event in events if event.step not in apart])

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        slope, deviation = of.get("slope", float("nan")), of.get("deviation", float("nan"))
        if of.get("rows", 0) < 8 or slope <= 0 or deviation <= 1e-6:
            return None
        constant = min(abs(of.get("target", 0.0) - value) for value in (0.0, 1.0, -1.0)) < 1e-4
        residual = 1.0 if constant else of.get("residual", float("nan"))
        return Finding(
            code="same_target",
            measured=residual,
            bounds=(floor(EXACT),),
            evidence=(Fact("target", of.get("target")), Fact("rows", of.get("rows"))),
            phrase="share of the gradient that is no linear function of the output {measured}"
            if residual >= EXACT
            else "all {rows} rows of a batch are pulled to the same target {target}",
        )


_case = Cases(TargetsDifferByRow())
_ROW = {"slope": 0.06, "target": 0.3, "residual": 0.7, "deviation": 0.5, "rows": 32.0, "trailing": 1.0}
PASSES = (
    _case("perfect_oracle", [_ROW] * 5),
    _case(
        "energies_of_data_and_of_samples",
        [{**_ROW, "residual": 0.0, "target": 25.0 - 50.0 * (i % 2)} for i in range(10)] + [_ROW] * 5,
        each=2,
    ),
    _case("least_squares_gan", [{**_ROW, "target": 1.0, "residual": 0.0}] * 5),
)
FAILS = (
    _case("broadcast", [{**_ROW, "residual": 1e-12}] * 5, "same_target", 1e-12, step=5),
    _case("not_a_number", [{**_ROW, "residual": float("nan")}] * 5),
)
