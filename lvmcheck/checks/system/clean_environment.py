"""clean_environment: no environment variable casts doubt on the run's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, passed, pending
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.events import Begin
from lvmcheck.run.view import Run

EFFECTS = {
    "KMP_DUPLICATE_LIB_OK": "two OpenMP runtimes are loaded; by its own warning it may silently give incorrect results",
    "PYTORCH_ENABLE_MPS_FALLBACK": "operators that MPS lacks silently run on the CPU",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "loading a checkpoint may execute code",
}


@dataclass(frozen=True, kw_only=True)
class CleanEnvironment(Check):
    """No environment variable is set that casts doubt on the run's numbers; `allow` lists those accepted on purpose.

    The recorder writes the variables it knows into run.json when a run begins.

    Why:
    The original project's launch script exports KMP_DUPLICATE_LIB_OK=TRUE, and its pre-flight list requires it. It
    avoids a crash by allowing two OpenMP runtimes in one process, which the runtime itself says "may cause crashes or
    silently produce incorrect results". Afterwards nothing tells such a run from a sound one.

    Usual causes:
    - A launch script or shell profile sets the variable to silence a crash.
    - Two packages bring an OpenMP runtime each (pip's torch and conda's numpy or scikit-learn).
    - MPS lacks an operator, and the fallback was turned on for another project.

    Fix:
    Unset the variable and install one OpenMP runtime (all packages from one source). If it must stay, name it in
    `allow`, where a reader of the suite sees it.

    Healthy runs that must pass:
    The variable set to 0 or empty; thread counts and cache settings, which change speed and not numbers.

    Source:
    pre-flight list of the original project, item 6 (refuted); the OpenMP runtime's own warning.
    """

    metric_fields = ()
    exempt: ClassVar[Mapping[str, str]] = {"nan": "reads no number"}

    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "allow", tuple(self.allow))

    def due(self, epochs: int) -> int:  # noqa: ARG002 - decided before the first epoch
        return 0

    def judge(self, run: Run) -> Outcome:
        if not run.info and not run.of(Begin) and not run.over:
            return pending("run.json")
        recorded = run.info.get("environment")
        if not isinstance(recorded, dict):
            return not_applicable("the run does not record its environment")
        doubtful = sorted(name for name in recorded if name not in self.allow)
        finding = Finding(
            code="variables_set",
            measured=len(doubtful),
            unit="environment variables",
            evidence=tuple(fact for name in doubtful for fact in _facts(name, str(recorded[name]))),
            phrase="{measured} cast doubt on the numbers of the run",
        )
        return (failed if doubtful else passed)(finding)


def _facts(name: str, value: str) -> tuple[Fact, Fact]:
    return Fact("variable", f"{name}={value}"), Fact("effect", EFFECTS.get(name, "recorded as doubtful"))


def _run(environment: dict[str, str]) -> Run:
    return Run(events=(Begin(),), info={"config": {}, "environment": environment})


PASSES = (
    made.case("nothing_set", CleanEnvironment(), _run({})),
    made.case(
        "allowed_on_purpose", CleanEnvironment(allow=("KMP_DUPLICATE_LIB_OK",)), _run({"KMP_DUPLICATE_LIB_OK": "TRUE"})
    ),
)
FAILS = (
    made.case(
        "script_of_the_original_project",
        CleanEnvironment(),
        _run({"KMP_DUPLICATE_LIB_OK": "TRUE"}),
        "variables_set",
        1,
        variable="KMP_DUPLICATE_LIB_OK=TRUE",
    ),
    made.case(
        "another_than_the_allowed",
        CleanEnvironment(allow=("KMP_DUPLICATE_LIB_OK",)),
        _run({"KMP_DUPLICATE_LIB_OK": "TRUE", "PYTORCH_ENABLE_MPS_FALLBACK": "1"}),
        variable="PYTORCH_ENABLE_MPS_FALLBACK=1",
    ),
)
