"""parameter_budget: the model has as many parameters as planned, where they were planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Outcome, error, pending
from lvmcheck.checks.wording import figure
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import Comparison, at_least, at_most, settle
from lvmcheck.checks.shared.epochs import check_count, check_number
from lvmcheck.errors import nearest
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class ParameterBudget(Check):
    """The trainable parameters are within `at_least` and `at_most`, and each component within its share `max_share`.

    `max_share` and `min_share` map a component (embedding, backbone, memory ...) to a share of all parameters; the
    components that the model states must add up to its parameters.

    Why:
    Claims about sizes drift from the code. The ancestors' analysis argued from "79 % embeddings = 25.7M", which is true
    of no model they trained (52.26 %); a target of 25M +- 10 % was called exceeded by 32.57M, and four other sizes
    stand in their documents.

    Usual causes:
    - Another vocabulary than planned: the embedding is half of a small language model.
    - A tied head that is counted, or trained, twice.
    - A default that differs between the configuration and the class.
    - A component that is built and never used.

    Fix:
    Compute the expected count by hand from the configuration and compare component by component; the first that
    differs is at fault.

    Healthy runs that must pass:
    A count exactly at a bound.

    Source:
    facts B1 and C 63 of the ancestors (table of parameter counts; wish: 25M +- 1M).
    """

    metric_fields = ()

    at_least: int | None = None
    at_most: int | None = None
    max_share: Mapping[str, float] | None = None
    min_share: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None and not self.max_share and not self.min_share:
            raise ValueError("at_least: expected at_least, at_most, max_share or min_share, got none of them")
        for key, bound in (("at_least", self.at_least), ("at_most", self.at_most)):
            if bound is not None:
                check_count(key, bound)
        for key, shares in (("max_share", self.max_share), ("min_share", self.min_share)):
            for name, share in (shares or {}).items():
                check_number(f"{key}.{name}", share, 0.0, 1.0)

    def due(self, epochs: int) -> int:  # noqa: ARG002 - decided before the first epoch
        return 0

    def judge(self, run: Run) -> Outcome:
        said = run.of(ev.Model)
        if not said:
            return error("the run does not say what its model is") if run.last_epoch else pending("awaits the model")
        model = said[-1]
        parts = {name: float(n) for name, n in model.components.items() if isinstance(n, int | float)}
        asked = dict.fromkeys((*(self.max_share or {}), *(self.min_share or {})))
        lacking = [name for name in asked if name not in parts]
        if lacking:
            return error(f"component {lacking[0]!r} was not counted. {nearest(lacking[0], parts)}")
        if asked and not model.parameters > 0:
            return error("the model has no trainable parameters")
        return settle(self._compare(model.parameters, parts))

    def _compare(self, parameters: int, parts: Mapping[str, float]) -> list[Comparison]:
        said = [f"{name} {figure(n)} ({100 * n / max(parameters, 1):.2f} %)" for name, n in parts.items()]
        shown = (f"{parameters:,} trainable parameters" + (f": {', '.join(said)}" if said else ""),)
        found: list[Comparison] = []
        if parts:
            apart = abs(sum(parts.values()) - parameters)
            found.append(at_most("parameters by which the components miss the total", apart, 0, shown))
        if self.at_least is not None:
            found.append(at_least("trainable parameters", parameters, self.at_least, shown))
        if self.at_most is not None:
            found.append(at_most("trainable parameters", parameters, self.at_most, shown))
        for name, share in (self.max_share or {}).items():
            found.append(at_most(f"share of {name}", parts[name] / parameters, share, shown))
        for name, share in (self.min_share or {}).items():
            found.append(at_least(f"share of {name}", parts[name] / parameters, share, shown))
        return found


def _run(parameters: int, components: Mapping[str, ev.Value]) -> Run:
    return Run(events=(ev.Begin(), ev.Model(kind="cognate", parameters=parameters, components=components)))


_SEEDS: dict[str, ev.Value] = {"embedding": 13_390_080, "backbone": 10_655_360, "recursion": 1_577_984, "halting": 257}
_TOTAL = 25_623_681
_EXACT = ParameterBudget(at_least=_TOTAL, at_most=_TOTAL)
PASSES: Sequence[Case] = (
    made.case("model_of_the_seeds", _EXACT, _run(_TOTAL, _SEEDS), ("52.26 %",)),
    made.case("half_embedding", ParameterBudget(max_share={"embedding": 0.55}), _run(_TOTAL, _SEEDS)),
)
FAILS: Sequence[Case] = (
    made.case(
        "called_25M",
        ParameterBudget(at_least=22_500_000, at_most=27_500_000),
        _run(32_571_041, {}),
        ("at most 2.75e+07",),
    ),
    made.case("components_miss_some", _EXACT, _run(_TOTAL, {**_SEEDS, "halting": 0}), ("257",)),
    made.case(
        "too_much_embedding", ParameterBudget(max_share={"embedding": 0.5}), _run(_TOTAL, _SEEDS), ("share of embedd",)
    ),
    made.case("no_memory", ParameterBudget(min_share={"halting": 0.01}), _run(_TOTAL, _SEEDS)),
)
