"""config_matches: the configuration is the known-good one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lvmcheck.checks.finding import Fact, Finding, Outcome, Scalar, failed, not_recorded, passed, pending
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.errors import BadValueError, nearest
from lvmcheck.run.view import Run
from lvmcheck.statistics.differences import ABSENT, flat, same, shown

FOLDER = Path("fixtures") / "configs"
MAX_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ConfigMatches(Check):
    """Every key of a known-good configuration has the same value in this run; each setting that differs is listed.

    Give either `reference`, the name of a file fixtures/configs/<name>.toml (looked for in the working directory and
    above it), or `expected`, an inline table. `ignore` lists dotted keys or tables not to compare. Keys that only the
    run has do not count, except inside the tables of `exact`: a further loss term or model option is a difference.

    Why:
    Nothing can be concluded from runs that differ in five settings at once. Attempt 2 on the 790k corpus changed the
    weight of MSE, the weight of InfoNCE, two further weights, the learning rate and the number of epochs against the
    run that had worked, was announced as the "identical config", and its failure was attributed to a sixth thing.

    Usual causes:
    - Several changes were made at once after a failure.
    - A default changed in the code and nobody wrote it into the configuration.
    - A script passes options that the trainer does not read, or reads under another name.
    - The profile (smoke, ci) changes more than the size.

    Fix:
    Change one setting at a time, or add the key to `ignore` on purpose, where a reader of the suite sees it.

    Healthy runs that must pass:
    20 and 20.0; keys that only the run has (paths, devices, seeds); ignored keys.

    Source:
    history 6 (attempt 2 on the 790k corpus) and the recorded histories.
    """

    metric_fields = ()
    exempt: ClassVar[Mapping[str, str]] = {"nan": "compares configurations, not measurements"}

    reference: str | None = None
    expected: dict[str, Any] | None = None
    ignore: tuple[str, ...] = ()
    exact: tuple[str, ...] = ("loss", "model")

    def __post_init__(self) -> None:
        object.__setattr__(self, "ignore", tuple(self.ignore))
        object.__setattr__(self, "exact", tuple(self.exact))
        if (self.reference is None) == (self.expected is None):
            given = "neither" if self.reference is None else "both"
            raise BadValueError("reference", f"expected either reference or expected, got {given}")
        if self.reference is not None:
            # Read once, here: judging must depend on the run alone.
            object.__setattr__(self, "_known", read_config(self.reference))
        else:
            object.__setattr__(self, "_known", dict(self.expected or {}))
        if not self._required():
            raise BadValueError("expected", "the configuration to compare with has no keys that are not ignored")

    def detail(self) -> str:
        return self.reference or ""

    def due(self, epochs: int) -> int:  # noqa: ARG002 - decided before the first epoch
        return 0

    def _required(self) -> dict[str, Any]:
        known: Mapping[str, Any] = self._known  # type: ignore[attr-defined]
        return {key: value for key, value in flat(known) if not self._ignored(key)}

    def _ignored(self, key: str) -> bool:
        return any(key == name or key.startswith(f"{name}.") for name in self.ignore)

    def judge(self, run: Run) -> Outcome:
        if not run.config:
            return not_recorded("the run records no configuration") if run.events or run.over else pending("run.json")
        required, got = self._required(), dict(flat(run.config))
        differing = [key for key, value in required.items() if key not in got or not same(got[key], value)]
        further = self._further(required, got)
        total = len(required) + len(further)
        finding = Finding(
            code="settings_differ",
            measured=len(differing) + len(further),
            evidence=(
                Fact("total", total),
                *(fact for key in (*differing, *further) for fact in _facts(key, got, required)),
            ),
            phrase="{measured} of {total} settings differ",
        )
        return (failed if finding.measured else passed)(finding, evaluated=total)

    def _further(self, required: Mapping[str, Any], got: Mapping[str, Any]) -> list[str]:
        """Keys that only the run has, inside the tables that must be equal."""
        tables = [table for table in self.exact if any(key.startswith(f"{table}.") for key in required)]
        return [
            key
            for key in got
            if key not in required and not self._ignored(key) and any(key.startswith(f"{t}.") for t in tables)
        ]


def _facts(key: str, got: Mapping[str, Any], required: Mapping[str, Any]) -> tuple[Fact, Fact]:
    return (Fact(key, _scalar(got.get(key, ABSENT))), Fact(f"{key}_expected", _scalar(required.get(key, ABSENT))))


def _scalar(value: object) -> Scalar:
    return value if isinstance(value, bool | int | float | str) else shown(value)


def read_config(name: str) -> dict[str, Any]:
    """The table of fixtures/configs/<name>.toml, searched from the working directory upwards, then beside lvmcheck.

    Raises:
        BadValueError: no such file, or not TOML.
    """
    if Path(name).name != name:
        raise BadValueError("reference", f"expected the name of a file in {FOLDER.as_posix()}, got {name!r}")
    roots = [Path.cwd(), *Path.cwd().parents, Path(__file__).parents[3]]
    folders = [root / FOLDER for root in roots if (root / FOLDER).is_dir()]
    path = next((folder / f"{name}.toml" for folder in folders if (folder / f"{name}.toml").is_file()), None)
    if path is None:
        known = [file.stem for folder in folders for file in folder.glob("*.toml")]
        raise BadValueError("reference", f"no such file {(FOLDER / name).as_posix()}.toml. {nearest(name, known)}")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"expected at most {MAX_BYTES:,} bytes")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise BadValueError("reference", f"{path.name} cannot be read ({problem})") from None


_GOOD = {
    "model": {"kind": "amn", "d_model": 256, "hidden_dim": 512},
    "loss": {"mse": 1.0},
    "epochs": 20,
    "batch_size": 32,
    "lr": 5e-4,
}
_ATTEMPT_2 = {**_GOOD, "loss": {"mse": 0.5, "info_nce": 0.5, "variance": 1e-3}, "epochs": 30, "lr": 2.5e-4}
_CHECK = ConfigMatches(expected=_GOOD)
_case = made.Cases(_CHECK)

PASSES = (
    _case("perfect_oracle_same_config", made.config_run(_GOOD)),
    _case("20_and_20.0_and_more_keys", made.config_run({**_GOOD, "epochs": 20.0, "seed": 3})),
    made.case(
        "ignored_on_purpose",
        ConfigMatches(expected=_GOOD, ignore=("epochs", "loss")),
        made.config_run({**_GOOD, "epochs": 8}),
    ),
)
FAILS = (
    Case(
        name="attempt_2_five_settings",
        check=_CHECK,
        run=made.config_run(_ATTEMPT_2),
        code="settings_differ",
        measured=5,
        facts={
            "total": 9,
            "loss.mse": 0.5,
            "loss.mse_expected": 1.0,
            "lr": 0.00025,
            "loss.info_nce_expected": "absent",
        },
    ),
    _case("nan_is_no_match", made.config_run({**_GOOD, "lr": float("nan")}), measured=1),
    _case("missing_key", made.config_run({**_GOOD, "model": {"kind": "amn"}}), measured=2),
)
