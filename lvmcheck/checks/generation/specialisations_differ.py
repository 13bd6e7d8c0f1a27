"""specialisations_differ: models that are called specialised behave differently."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from lvmcheck.checks.finding import Fact, Finding, Outcome, facts, not_recorded
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import at_least, each_evaluation
from lvmcheck.checks.shared.epochs import check_number
from lvmcheck.run.events import Evaluation
from lvmcheck.run.view import Run

MEASURES = ("halting_mean", "memory_use")


@dataclass(frozen=True, kw_only=True)
class SpecialisationsDiffer(Check):
    """Every two specialisations differ in measured halting depth or memory use, and all together in both.

    The evaluation "specialisations" gives NAME/halting_mean and NAME/memory_use for every name, measured on the same
    tokens. Two differ when their halting means are `min_steps` steps apart, or their memory use `min_memory` of the
    larger one.

    Why:
    Settings that no code reads change nothing. The original project trained a reasoning, a memory and a speed model
    whose memory capacity and surprise threshold no line of the model read, and whose halting threshold only changed an
    integer in the log: they differed by their random initialisation.

    Usual causes:
    - A configuration field that the model never reads.
    - Thresholds beyond what the probabilities reach: all halt at the last step.
    - The same checkpoint was evaluated under several names.

    Fix:
    Change one setting by a large factor on the same weights and compare outputs bit for bit: no difference means that
    nothing reads it.

    Healthy runs that must pass:
    Two that share their memory use and differ in depth.

    Source:
    docs/history.md (capacity and surprise threshold never read).
    """

    metric_fields = ()

    min_steps: float = 0.05
    min_memory: float = 0.05

    def __post_init__(self) -> None:
        check_number("min_steps", self.min_steps, 0.0)
        check_number("min_memory", self.min_memory, 0.0, 1.0)

    def judge(self, run: Run) -> Outcome:
        lacks = "no two specialisations were compared"
        return each_evaluation(run, "specialisations", self._compare, lacks)

    def _compare(self, event: Evaluation) -> list[Finding] | Outcome:
        table = {key: _column(event.metrics, key) for key in MEASURES}
        names = list(dict.fromkeys(name for column in table.values() for name in column))
        lacking = [f"{name}/{key}" for key, column in table.items() for name in names if name not in column]
        if len(names) < 2 or lacking:
            missing = f": {lacking[0]!r} is missing" if lacking else ""
            return not_recorded(f"evaluation 'specialisations' compares {len(names)} models{missing}")
        evidence = facts({f"{name}_{key}": table[key][name] for name in names for key in MEASURES})
        steps, memory = table["halting_mean"], table["memory_use"]
        limits = (
            ("fewest_steps", _least(steps), 1.0, "fewest halting steps of a specialisation {measured}"),
            ("step_range", _spread(steps), self.min_steps, "range of halting steps over specialisations {measured}"),
            ("memory_range", _relative(memory), self.min_memory, "relative range of memory use {measured}"),
        )
        found = [at_least(code, got, limit, evidence=evidence, phrase=words) for code, got, limit, words in limits]
        return [*found, *(self._pair(steps, memory, pair, evidence) for pair in combinations(names, 2))]

    def _pair(
        self, steps: Mapping[str, float], memory: Mapping[str, float], pair: tuple[str, str], evidence: tuple[Fact, ...]
    ) -> Finding:
        """The larger difference of two specialisations, in units of the least that counts."""
        one, other = pair
        apart = max(
            _part(abs(steps[one] - steps[other]), self.min_steps),
            _part(_relative({name: memory[name] for name in pair}), self.min_memory),
        )
        return at_least(
            "pair",
            apart,
            1.0,
            evidence=(*facts(one=one, other=other), *evidence),
            phrase="{one} and {other} differ by {measured} times the least that counts",
        )


def _column(metrics: Mapping[str, float], key: str) -> dict[str, float]:
    return {name.removesuffix(f"/{key}"): value for name, value in metrics.items() if name.endswith(f"/{key}")}


def _least(values: Mapping[str, float]) -> float:
    numbers = list(values.values())
    return min(numbers) if all(map(math.isfinite, numbers)) else math.nan


def _spread(values: Mapping[str, float]) -> float:
    numbers = list(values.values())
    return max(numbers) - min(numbers) if all(map(math.isfinite, numbers)) else math.nan


def _relative(values: Mapping[str, float]) -> float:
    largest = max(map(abs, values.values()))
    return _spread(values) / largest if largest > 0 else _spread(values)


def _part(difference: float, least: float) -> float:
    return difference / least if least > 0 else math.inf if difference > 0 else 1.0


def _run(*models: tuple[str, float, float]) -> Run:
    metrics: dict[str, float] = {}
    for name, steps, memory in models:
        metrics |= {f"{name}/halting_mean": steps, f"{name}/memory_use": memory}
    return language.evaluated("specialisations", metrics)


_case = made.Cases(SpecialisationsDiffer())
PASSES = (
    _case("perfect_oracle", _run(("reasoning", 2.4, 0.5), ("memory", 2.0, 0.8), ("speed", 1.3, 0.3))),
    _case("two_with_the_same_memory", _run(("reasoning", 2.4, 0.5), ("memory", 2.0, 0.8), ("speed", 1.3, 0.5))),
)
FAILS = (
    _case(
        "settings_that_nothing_reads",
        _run(("reasoning", 3.0, 0.5), ("memory", 3.0, 0.5), ("speed", 3.0, 0.5)),
        reasoning_halting_mean=3.0,
        speed_halting_mean=3.0,
    ),
    _case("memory_is_never_read", _run(("reasoning", 2.4, 0.5), ("memory", 2.0, 0.5)), "memory_range"),
    _case(
        "one_under_two_names",
        _run(("reasoning", 2.4, 0.5), ("memory", 2.4, 0.5), ("speed", 1.3, 0.3)),
        "pair",
        one="reasoning",
        other="memory",
    ),
    _case("nan", _run(("reasoning", float("nan"), 0.5), ("speed", 1.3, 0.3)), measured=float("nan")),
)
