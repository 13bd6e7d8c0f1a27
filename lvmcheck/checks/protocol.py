"""The check protocol, discovery by presence, and evaluation of a run.

A check is one file below ``lvmcheck/checks``: a frozen keyword-only dataclass that extends :class:`Check`. Its fields
are its keys in a suite, its docstring is its manual page and the hints of its failure message, and its module's
``PASSES`` and ``FAILS`` are runs that become its tests.
"""

from __future__ import annotations

import importlib
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

from lvmcheck.checks.finding import Asked, Outcome, Scalar, Status, Verdict, Why, error, never_evaluated, not_recorded
from lvmcheck.checks.foreign import LIMIT, ask, crashed, is_foreign
from lvmcheck.checks.places import at_steps
from lvmcheck.checks.wording import sentence
from lvmcheck.errors import InputError, nearest
from lvmcheck.run.view import Run
from lvmcheck.text.fit import one_line
from lvmcheck.validation import STRICT

CHECKS = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Check:
    """Base of all checks. Subclasses add fields (their keys in a suite) and :meth:`judge`."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    universal: ClassVar[bool] = False
    """Judged on any run without being asked for."""

    show_when_passed: ClassVar[bool] = False
    """Its evidence is shown in the summary even when it passed (distance from baselines and optimum)."""

    metric_fields: ClassVar[tuple[str, ...]] = ("metric",)
    """Fields that name a metric of the run."""

    exempt: ClassVar[Mapping[str, str]] = {}
    """Law of all checks (in ``suites/lvmcheck/test_checks.py``: "nan", "no_data", ...) that does not apply -> why."""

    may_be_missing: ClassVar[Mapping[str, str]] = {}
    """Metric that the last epoch may lack and the check still passes -> why."""

    def judge(self, run: Run) -> Outcome:
        """The answer on the run so far. Pure: the same run gives the same answer."""
        raise NotImplementedError

    def detail(self) -> str:
        """What tells two uses of this check apart, such as ``train_cosine@1``."""
        return ""

    def due(self, epochs: int) -> int:
        """The first epoch after which this can be decided as passed, of ``epochs`` in all (orders the items)."""
        return epochs

    @classmethod
    def name(cls) -> str:
        """The name in suites: the name of the module."""
        return cls.__module__.rpartition(".")[2]

    def label(self) -> str:
        detail = self.detail()
        return one_line(f"{self.name()}[{detail}]") if detail else self.name()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run with the check that judges it, and what the answer must hold.

    Args:
        code: the finding's code; "" where any will do.
        measured: the finding's value; a number is compared to a thousandth of itself.
        epoch, step: the finding's place.
        facts: evidence by name, compared in the same way.
        status: the answer, where it is neither the pass of PASSES nor the fail of FAILS (a warning).
    """

    name: str
    check: Check
    run: Run
    code: str = ""
    measured: Scalar = None
    epoch: int | None = None
    step: int | None = None
    facts: Mapping[str, Scalar] = field(default_factory=dict)
    status: Status | None = None

    def mismatch(self, outcome: Outcome) -> str:
        """The first thing that the answer does not hold as required; empty where it holds all."""
        finding = outcome.finding
        required: dict[str, tuple[Scalar, Scalar]] = {}
        if self.code:
            required["code"] = (self.code, finding.code if finding else None)
        for key in ("measured", "epoch", "step"):
            if getattr(self, key) is not None:
                required[key] = (getattr(self, key), getattr(finding, key, None))
        for key, value in self.facts.items():
            fact = finding.fact(key) if finding else None
            required[f"fact {key}"] = (value, fact.value if fact else "absent")
        return next((f"{key}: expected {a!r}, got {b!r}" for key, (a, b) in required.items() if not same(a, b)), "")


def same(expected: Scalar, got: Scalar) -> bool:
    """Equal, or numbers that agree to a thousandth; NaN agrees with NaN."""
    numbers = (int, float)
    if isinstance(expected, numbers) and isinstance(got, numbers) and not isinstance(expected, bool):
        if math.isnan(expected) or math.isnan(got):
            return math.isnan(expected) and math.isnan(got)
        return math.isclose(expected, got, rel_tol=1e-3, abs_tol=1e-12)
    return expected == got


# -- discovery -------------------------------------------------------------------------------------------------------
@cache
def _files() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(CHECKS.glob("*/*.py")):
        if not path.stem.startswith("_") and path.parent.name != "shared":
            found[path.stem] = f"lvmcheck.checks.{path.parent.name}.{path.stem}"
    return found


def check_names() -> list[str]:
    """Names of the built-in checks, from the file system alone."""
    return sorted(_files())


def load_check(name: str) -> type[Check]:
    """The check of that name, or of ``package.module:Class`` in a user's own repository.

    Raises:
        InputError: there is none.
    """
    if ":" in name:
        module_name, _, attribute = name.partition(":")
        try:
            found = getattr(importlib.import_module(module_name), attribute)
        except (ImportError, AttributeError) as problem:
            raise InputError(f"check {name!r}", f"cannot be imported ({problem})") from None
        if not (isinstance(found, type) and issubclass(found, Check)):
            raise InputError(f"check {name!r}", f"expected a subclass of lvmcheck.Check, got {found!r}")
        return found
    files = _files()
    if name not in files:
        raise InputError(
            f"check {name!r}",
            "no such check",
            fix=f"{nearest(name, files)} {len(files)} checks exist: lvmcheck list checks",
        )
    return check_class(importlib.import_module(files[name]))


def check_class(module: object) -> type[Check]:
    """The one check a module defines."""
    name = getattr(module, "__name__", "?")
    found = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Check) and item.__module__ == name
    ]
    if len(found) != 1:
        raise TypeError(f"{name} must define exactly one check, found {len(found)}")
    return found[0]


def cases(name: str) -> tuple[Sequence[Case], Sequence[Case]]:
    """``PASSES`` and ``FAILS`` of a check's module."""
    module = sys.modules[load_check(name).__module__]
    return module.PASSES, module.FAILS


def universal_checks() -> list[Check]:
    """The checks that make sense for any run, with their defaults."""
    return [kind() for kind in map(load_check, _said_universal()) if kind.universal]


def _said_universal() -> list[str]:
    # Reading a file is twenty times faster than importing it, and a command has 0.3 s in all.
    said = re.compile(rb"universal = True|\((CurveCheck|Watched|Series)\):")
    return [name for name in check_names() if said.search(_path(name).read_bytes())]


def _path(name: str) -> Path:
    return CHECKS.parent.parent.joinpath(*_files()[name].split(".")).with_suffix(".py")


# -- evaluation ------------------------------------------------------------------------------------------------------
def judge(check: Check, run: Run, *, limit: float = LIMIT) -> Outcome:
    """The check's answer, settled: a crash is an error, and what an ended run left open is never a pass.

    Args:
        limit: seconds that a check of the user's own may take.
    """
    outcome = _supported(_answer(check, run, limit))
    if outcome.status is not Status.PENDING or not run.over:
        return outcome
    if run.as_it_ended:
        return not_recorded(f"{run.stopped_where()}; needed {outcome.awaits}")
    if run.death is not None:
        return error(f"could not be judged: {run.stopped_where()}", Why.RUN_DIED)
    stopped = run.done is not None and run.done.get("status") == "stopped"
    return Outcome(
        status=Status.FAILED,
        why=Why.NOT_REACHED if stopped else Why.RUN_ENDED,
        reason=f"not reached: {run.stopped_where()}",
        awaits=outcome.awaits,
        evaluated=outcome.evaluated,
    )


def _answer(check: Check, run: Run, limit: float) -> Outcome:
    if is_foreign(check):
        return ask(check.judge, run, limit)
    try:
        return check.judge(run)
    except Exception as problem:
        return crashed(problem)


def _supported(outcome: Outcome) -> Outcome:
    """A pass or a warning rests on a comparison, and a pass on a value that keeps its own bounds; else an error."""
    if outcome.status not in (Status.PASSED, Status.WARNING):
        return outcome
    if outcome.evaluated < 1:
        return never_evaluated()
    finding = outcome.finding
    if finding is None:
        return error("the check passed without a finding", Why.CRASHED)
    if outcome.status is Status.WARNING:
        return outcome
    if isinstance(finding.measured, float) and math.isnan(finding.measured):
        return error("the check passed with NaN", Why.CRASHED)
    if (finding.bounds and not finding.met) or finding.beyond_abort:
        return error(f"the check passed although its value is out of bounds: {sentence(finding)}", Why.CRASHED)
    return outcome


def evaluate(run: Run, checks: Iterable[Check] | None = None) -> list[Verdict]:
    """Verdicts on a run; where no checks are named the universal ones, which judge it as far as it went."""
    if checks is not None:
        return [verdict(check, run) for check in checks]
    run = run.without_plan()  # once: a view keeps what it has computed
    return [found for name in _said_universal() if (found := _universal(name, run)) is not None]


def _universal(name: str, run: Run) -> Verdict | None:
    """The verdict of a universal check; its module is not imported where its subject says what all of it lacks."""
    subject = importlib.import_module(_files()[name].rpartition(".")[0])
    lacking: Outcome | None = subject.lacking(run) if hasattr(subject, "lacking") else None
    if lacking is not None:
        return Verdict(name=name, check=name, outcome=lacking, seed=run.seed)
    kind = load_check(name)
    return verdict(kind(), run) if kind.universal else None


def verdict(
    check: Check, run: Run, outcome: Outcome | None = None, *, asked: Asked | None = None, source: str | None = None
) -> Verdict:
    """One check's settled answer with its address; of a universal check with places that the run itself has."""
    settled = judge(check, run) if outcome is None else outcome
    return Verdict(
        name=check.label(),
        check=check.name(),
        outcome=at_steps(settled, run) if asked is None else settled,
        seed=run.seed,
        asked=asked,
        source=source,
    )


# -- shared by checks ------------------------------------------------------------------------------------------------
def missing_metric(run: Run, metric: str) -> Outcome | None:
    """ "Not recorded" when the run never logs ``metric``, or None while it has or still may."""
    known: tuple[str, ...] = run.metric_names
    if metric in known:
        return None
    if run.declared is not None:
        if metric in run.declared and (not run.over or not run.last_epoch):
            return None  # it was declared; that the run ended before its first epoch is the better message
        known = tuple(dict.fromkeys((*known, *run.declared)))
    elif not run.over:
        return None
    if not known:
        return None  # nothing was logged at all: what ended the run is the better message
    if metric in known:
        return not_recorded(f"metric {metric!r} was declared and is recorded in none of {run.last_epoch} epochs")
    return not_recorded(f"metric {metric!r} is not recorded; recorded: {', '.join(known)}. {nearest(metric, known)}")
