"""clean_environment: no environment variable casts doubt on the run's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Finding, Outcome, failed, not_applicable, passed, pending
from lvmcheck.checks.protocol import Case, Check
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
    The ancestors' launch script exports KMP_DUPLICATE_LIB_OK=TRUE, and their pre-flight list even demands it. It makes
    a crash go away by allowing two OpenMP runtimes in one process, which the runtime itself says "may cause crashes or
    silently produce incorrect results". A run made so cannot be told from a sound one afterwards.

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
    amn_790k_complete_diagnosis, pre-flight 6 (refuted); the OpenMP runtime's own warning.
    """

    metric_fields = ()

    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "allow", tuple(self.allow))

    def due(self, epochs: int) -> int:  # noqa: ARG002 - decided before the first epoch
        return 0

    def judge(self, run: Run) -> Outcome:
        if not run.info and not run.of(Begin) and not run.over:
            return pending("awaits run.json")
        recorded = run.info.get("environment")
        if not isinstance(recorded, dict):
            return not_applicable("the run does not record its environment")
        doubtful = sorted(name for name in recorded if name not in self.allow)
        finding = Finding(
            what="environment variables that cast doubt on the run",
            measured=len(doubtful),
            wanted="0",
            evidence=tuple(
                f"{name}={recorded[name]}: {EFFECTS.get(name, 'recorded as doubtful')}" for name in doubtful
            ),
        )
        return (failed if doubtful else passed)(finding)


def _run(environment: dict[str, str]) -> Run:
    return Run(events=(Begin(),), info={"config": {}, "environment": environment})


PASSES: Sequence[Case] = (
    made.case("nothing_set", CleanEnvironment(), _run({})),
    made.case(
        "allowed_on_purpose",
        CleanEnvironment(allow=("KMP_DUPLICATE_LIB_OK",)),
        _run({"KMP_DUPLICATE_LIB_OK": "TRUE"}),
    ),
)
FAILS: Sequence[Case] = (
    made.case("the_seeds_script", CleanEnvironment(), _run({"KMP_DUPLICATE_LIB_OK": "TRUE"}), ("silently",)),
    made.case(
        "another_than_the_allowed",
        CleanEnvironment(allow=("KMP_DUPLICATE_LIB_OK",)),
        _run({"KMP_DUPLICATE_LIB_OK": "TRUE", "PYTORCH_ENABLE_MPS_FALLBACK": "1"}),
        ("MPS",),
    ),
)
