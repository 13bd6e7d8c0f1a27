"""effective_lr_matches_config: the optimizer steps with the learning rates that the configuration and schedule give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import band
from lvmcheck.checks.finding import Fact, Finding, Outcome, facts, failed, not_recorded
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.compare import at_least, at_most, settle
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete
from lvmcheck.run.events import Probe
from lvmcheck.run.view import Run

PROBE = "learning_rates"
SPREAD, PROBES = 3.0, 4
"""Factor over which a rate must have moved, and probes that must have seen it, before updates are compared with it."""
FOLLOWS = 0.5
"""Slope of log update over log rate; 1 when the rate is used, 0 when it is not."""
NOT_UPDATED = "not_updated"
"""Code of the finding that a group's parameters do not move at a rate that is not 0."""
REACHED = 0.5
"""Share of its configured rate that a group must reach at its highest."""


@dataclass(frozen=True, kw_only=True)
class EffectiveLrMatchesConfig(Check):
    """Each group's learning rate is the planned one to `tolerance`, reaches the configured one, and its updates follow.

    Probes "learning_rates" give by group lr, planned_lr (the schedule's value at that step) and update_rms, the
    measured change of the parameters. The highest rate of a group lies within half and 1 + `tolerance` of the rate in
    the configuration (muon_lr for hidden matrices, lr for all others, optimizer.group_lr before both). Where a rate
    moved by a factor of 3 over at least 4 probes, log update over log rate has a slope of at least 0.5. At rate 0
    nothing moves.

    Why:
    A rate that is printed is not a rate that is used. The original project's optimizer read its rates from its
    constructor, its scheduler wrote into param_groups, and its configuration was ignored because the trainer called a
    preset: console, dashboard and update showed three different rates, and "reduced 50 %" never happened.

    Usual causes:
    - The optimizer keeps the rate it was built with and never reads group["lr"].
    - The configured rate is not passed on: a preset or a default wins.
    - The scheduler is never stepped, stepped per epoch where it counts steps, or belongs to another optimizer.
    - Updates are normalised by something that undoes the rate.

    Fix:
    Set the rate of one group to 0 and take a step: its parameters must not change. Then halve it: the update must be
    half as large.

    Healthy runs that must pass:
    A warm-up from 0; a constant rate; the last step of a cosine, with a rate near 0; updates of Adam that shrink as
    gradients become noise.

    Source:
    history 13 (learning rates and scheduler without effect).
    """

    metric_fields = ()

    tolerance: float = 0.02

    def __post_init__(self) -> None:
        check_number("tolerance", self.tolerance, 0.0, 1.0)

    def judge(self, run: Run) -> Outcome:
        probes = run.probes(PROBE)
        seen = 0
        for probe in probes:
            found = self._planned(run, probe)
            seen += len(found)
            if not all(finding.met for finding in found):
                return settle(found, evaluated=seen)
        if not complete(run):
            return awaiting(run, f"every probe {PROBE!r}", evaluated=seen)
        if not seen:
            return not_recorded(f"no probe {PROBE!r} records lr and planned_lr of a group")
        groups = list(dict.fromkeys(group for probe in probes for group in _groups(probe)))
        lacking = [group for group in groups if group not in _groups(probes[-1])]
        if lacking:
            return not_recorded(f"the last probe {PROBE!r} records no lr and planned_lr of group {lacking[0]!r}")
        whole = [item for group in groups for item in (*self._reached(run, group), *_follows(run, group))]
        still = next((finding for finding in whole if finding.code == NOT_UPDATED), None)
        if still is not None:
            return failed(still, evaluated=seen + len(whole))
        return settle([*whole, *self._planned(run, probes[-1])], evaluated=seen + len(whole))

    def _planned(self, run: Run, probe: Probe) -> list[Finding]:
        """Each group's rate beside the planned one, at one probe; relative to the configured rate, so that 0 is one."""
        found = []
        for group in _groups(probe):
            rate, planned = probe.values[f"{group}/lr"], probe.values[f"{group}/planned_lr"]
            scale = _configured(run, group) or abs(planned) or 1.0
            shown = (Fact("group", group), Fact("used_lr", rate), Fact("planned_lr", planned))
            phrase = "learning rate {used_lr} of group {group}, planned {planned_lr}: relative difference {measured}"
            difference = abs(rate - planned) / scale
            more = {"evidence": shown, "phrase": phrase, "epoch": probe.epoch, "step": probe.step}
            found.append(at_most("not_the_planned_lr", difference, self.tolerance, **more))
        return found

    def _reached(self, run: Run, group: str) -> list[Finding]:
        """The highest rate of a group beside the configured one."""
        configured = _configured(run, group)
        if not configured:
            return []
        rates = [probe.values[f"{group}/lr"] for probe in run.probes(PROBE) if f"{group}/lr" in probe.values]
        return [
            Finding(
                code="not_the_configured_lr",
                measured=max(rates) / configured,
                bounds=band(REACHED, 1 + self.tolerance),
                evidence=(Fact("group", group), Fact("highest_lr", max(rates)), Fact("configured_lr", configured)),
                phrase="highest learning rate {highest_lr} of group {group} is {measured} times the configured one",
            )
        ]


def _groups(probe: Probe) -> list[str]:
    names = [name.removesuffix("/lr") for name in probe.values if name.endswith("/lr")]
    return [name for name in names if f"{name}/planned_lr" in probe.values]


def _configured(run: Run, group: str) -> float | None:
    """The base rate that the configuration gives a group."""
    table = run.config.get("optimizer")
    own = table.get("group_lr") if isinstance(table, Mapping) else None
    rates = [own.get(group) if isinstance(own, Mapping) else None]
    rates += [run.config.get("muon_lr")] if group == "hidden" else []
    for rate in (*rates, run.config.get("lr")):
        if isinstance(rate, int | float) and not isinstance(rate, bool):
            return float(rate)
    return None


def _follows(run: Run, group: str) -> list[Finding]:
    """Whether the group's measured updates move with its rate."""
    keys = (f"{group}/lr", f"{group}/update_rms")
    pairs = [tuple(p.values[key] for key in keys) for p in run.probes(PROBE) if all(key in p.values for key in keys)]
    moved = [(rate, update) for rate, update in pairs if rate != 0.0]
    rested = [update for rate, update in pairs if rate == 0.0]
    largest = math.nan if any(map(math.isnan, rested)) else max(rested, default=0.0)
    name = Fact("group", group)
    phrase = "largest update of group {group} at learning rate 0 is {measured}"
    still = [at_most("updated_at_lr_0", largest, 0.0, evidence=(name,), phrase=phrase)] if rested else []
    if not moved:
        return still
    smallest = math.nan if any(math.isnan(update) for _, update in moved) else min(update for _, update in moved)
    (first_lr, first), (last_lr, last) = moved[0], moved[-1]
    shown = (name, *facts(first_lr=first_lr, last_lr=last_lr, first_update=first, last_update=last))
    if not smallest > 0:
        phrase = "smallest update of group {group} at a learning rate that is not 0 is {measured}"
        return [*still, Finding(code=NOT_UPDATED, measured=smallest, evidence=shown, phrase=phrase)]
    rates = [rate for rate, _ in moved]
    if len(moved) < PROBES or not max(rates) >= SPREAD * min(rates):
        return still
    phrase = "slope of log update over log learning rate of group {group} is {measured}"
    return [*still, at_least("updates_ignore_lr", _slope(moved), FOLLOWS, evidence=shown, phrase=phrase)]


def _slope(pairs: Sequence[tuple[float, ...]]) -> float:
    """Least-squares slope of the logarithms."""
    if any(not value > 0 for pair in pairs for value in pair):
        return math.nan
    x, y = ([math.log(pair[i]) for pair in pairs] for i in (0, 1))
    mx, my = sum(x) / len(x), sum(y) / len(y)
    square = sum((a - mx) ** 2 for a in x)
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / square if square > 0 else math.nan


_CONFIG = {"lr": 1e-3, "muon_lr": 0.02, "schedule": "cosine"}
_SHAPE = (0.25, 0.75, 1.0, 0.9, 0.6, 0.3, 0.1, 0.01)
_FLAT = (1.0,) * 8


def _run(
    planned: Sequence[float] = _SHAPE,
    used: Sequence[float] | None = None,
    updates: Sequence[float] | None = None,
    base: float = 0.02,
    noise: Sequence[float] = (1.0, 0.7, 0.5, 0.45, 0.4, 0.35, 0.3, 0.3),
) -> Run:
    """Rates and updates as shares of the configured rate, by probe."""
    used = used or planned
    values = [
        {
            "hidden/lr": base * used[i],
            "hidden/planned_lr": base * planned[i],
            "hidden/update_rms": 0.1 * base * (updates or used)[i],
            "embedding/lr": 1e-3 * used[i],
            "embedding/planned_lr": 1e-3 * planned[i],
            "embedding/update_rms": 1e-3 * (updates or used)[i] * noise[i],
        }
        for i in range(len(planned))
    ]
    return language.probed(PROBE, *values, config=_CONFIG)


_case = made.Cases(EffectiveLrMatchesConfig())
PASSES = (
    _case("perfect_oracle", _run(noise=_FLAT)),
    _case("updates_of_adam_shrink", _run()),
    _case("constant_rate", _run(_FLAT)),
    _case("from_0_to_0", _run((0.0, 0.5, 1.0, 0.9, 0.6, 0.3, 0.1, 0.0))),
)
FAILS = (
    _case("not_read_by_the_optimizer", _run(updates=_FLAT), "updates_ignore_lr"),
    _case("moves_at_rate_0", _run((0.0, 0.5), updates=(0.1, 0.5)), "updated_at_lr_0", group="hidden"),
    _case("scheduler_never_stepped", _run(used=_FLAT), "not_the_planned_lr", step=100),
    _case("a_preset_wins", _run(base=1e-3), "not_the_configured_lr", group="hidden", configured_lr=0.02),
    _case("no_update", _run(_FLAT, updates=(0.0,) * 8), "not_updated", 0.0),
    _case("nan", _run(_FLAT, updates=(math.nan,) * 8), "not_updated", math.nan),
)
