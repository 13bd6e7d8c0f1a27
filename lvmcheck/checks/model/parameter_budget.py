"""parameter_budget: the model has as many parameters as planned, where they were planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lvmcheck.checks.finding import Fact, Finding, Outcome, error, not_recorded, pending
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import at_least, at_most, settle
from lvmcheck.checks.shared.epochs import check_count, check_number
from lvmcheck.errors import BadValueError, nearest
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class ParameterBudget(Check):
    """The trainable parameters are within `at_least` and `at_most`, and each component within its share `max_share`.

    `max_share` and `min_share` map a component (embedding, backbone, memory ...) to a share of all parameters; the
    components that the model states must add up to its parameters.

    Why:
    Claims about sizes drift from the code. An analysis of the original project argued from "79 % embeddings = 25.7M",
    which is true of no model that it trained (52.26 %); a target of 25M +- 10 % was called exceeded by 32.57M, and its
    documents state four other sizes.

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
    history 9 (table of parameter counts; target: 25M +- 1M).
    """

    metric_fields = ()

    at_least: int | None = None
    at_most: int | None = None
    max_share: Mapping[str, float] | None = None
    min_share: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None and not self.max_share and not self.min_share:
            raise BadValueError("at_least", "expected at_least, at_most, max_share or min_share, got none of them")
        for key, bound in (("at_least", self.at_least), ("at_most", self.at_most)):
            if bound is not None:
                check_count(key, bound)
        for key, shares in (("max_share", self.max_share), ("min_share", self.min_share)):
            for name, share in (shares or {}).items():
                check_number(f"{key}.{name}", share, 0.0, 1.0)

    def due(self, epochs: int) -> int:  # noqa: ARG002 - decided before the first epoch
        return 0

    def judge(self, run: Run) -> Outcome:
        models = run.of(ev.Model)
        if not models:
            return not_recorded("the run does not record its model") if run.last_epoch else pending("the model")
        model = models[-1]
        parts = {name: float(n) for name, n in model.components.items() if isinstance(n, int | float)}
        asked = dict.fromkeys((*(self.max_share or {}), *(self.min_share or {})))
        lacking = [name for name in asked if name not in parts]
        if lacking:
            return not_recorded(f"component {lacking[0]!r} is not recorded. {nearest(lacking[0], parts)}")
        if asked and not model.parameters > 0:
            return error("the model has no trainable parameters")
        return settle(self._compare(model.parameters, parts))

    def _compare(self, parameters: int, parts: Mapping[str, float]) -> list[Finding]:
        shares = (Fact(f"share_{name}", 100 * n / max(parameters, 1), "%") for name, n in parts.items())
        counts = (Fact(f"parameters_{name}", n) for name, n in parts.items())
        shown = {"evidence": (Fact("trainable_parameters", parameters), *counts, *shares)}
        found: list[Finding] = []
        if parts:
            phrase = "the components miss the total of {trainable_parameters} parameters by {measured}"
            found.append(
                at_most("components_miss_total", abs(sum(parts.values()) - parameters), 0, phrase=phrase, **shown)
            )
        phrase = "{measured} trainable parameters"
        if self.at_least is not None:
            found.append(at_least("trainable_parameters", parameters, self.at_least, phrase=phrase, **shown))
        if self.at_most is not None:
            found.append(at_most("trainable_parameters", parameters, self.at_most, phrase=phrase, **shown))
        for compare, bounds in ((at_most, self.max_share), (at_least, self.min_share)):
            for name, share in (bounds or {}).items():
                found.append(compare(f"share_of_{name}", parts[name] / parameters, share, **shown))
        return found


def _run(parameters: int, components: Mapping[str, ev.Value]) -> Run:
    return Run(events=(ev.Begin(), ev.Model(kind="cognate", parameters=parameters, components=components)))


_PARTS: dict[str, ev.Value] = {"embedding": 13_390_080, "backbone": 10_655_360, "recursion": 1_577_984, "halting": 257}
_TOTAL = 25_623_681
_EXACT = ParameterBudget(at_least=_TOTAL, at_most=_TOTAL)
PASSES = (
    made.case("model_of_the_original_project", _EXACT, _run(_TOTAL, _PARTS), share_embedding=52.2567),
    made.case("half_embedding", ParameterBudget(max_share={"embedding": 0.55}), _run(_TOTAL, _PARTS)),
)
FAILS = (
    made.case(
        "called_25M",
        ParameterBudget(at_least=22_500_000, at_most=27_500_000),
        _run(32_571_041, {}),
        "trainable_parameters",
        32_571_041,
    ),
    made.case("components_miss_some", _EXACT, _run(_TOTAL, {**_PARTS, "halting": 0}), "components_miss_total", 257),
    made.case(
        "too_much_embedding",
        ParameterBudget(max_share={"embedding": 0.5}),
        _run(_TOTAL, _PARTS),
        "share_of_embedding",
        0.522567,
    ),
    made.case("no_memory", ParameterBudget(min_share={"halting": 0.01}), _run(_TOTAL, _PARTS)),
)
