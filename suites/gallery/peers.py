"""Other tools that judge training runs, on the same recorded programs, in an environment of their own.

    python -m suites.gallery.peers      makes the environment below .lvmcheck; the versions stand in pyproject.toml

None of them reads or imports anything of ours: each gets one CSV a program (:mod:`suites.gallery.peer_logs`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suites.gallery.judge import Judgement
from suites.gallery.peer_logs import EPOCHS, FORMS, STEPS, write_log
from suites.gallery.recorded import ROOT

ENVIRONMENT = ROOT / ".lvmcheck" / "peers-gallery"
EXTRA = "peers-gallery"
INSTALL = "python -m suites.gallery.peers"
DRIVER = Path(__file__).with_name("peer_driver.py")


@dataclass(frozen=True)
class Peer:
    """A tool, and what counts as red and as a warning.

    Args:
        best: the form of log with the greatest difference of its red shares, broken less healthy, in the tuning half.
        cannot: why it judges no recorded run.
    """

    name: str
    red: str
    warned: str
    best: str = STEPS
    cannot: str = ""


PEERS = (
    Peer("runmedic", "exit 1 of `diagnose --fail-on critical`, its README's line for CI", "severity warning"),
    Peer("trainproof", "exit 1 of `doctor` (FAIL), but for TP-NO-LOSS", "level WARN", EPOCHS),
    Peer("gradsnitch", "severity error of `lint_csv`; it has no command and no exit code", "severity warning"),
    Peer("losslint", "exit 1 of `check` (severity error)", "severity warning"),
    Peer("trainspotter", "exit 1 of `analyze --fail-on error`, its README's line for CI", "severity warning", EPOCHS),
    Peer("pytest-torch", "", "", cannot="runs steps of a model, reads no recorded curves"),
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a tool said of one program; ``error`` where it could not read the log."""

    red: bool
    warned: bool
    findings: tuple[str, ...] = ()
    error: str = ""


def versions(extra: str = EXTRA) -> dict[str, str]:
    """Versions of the peers, as pyproject.toml pins them."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        pinned: list[str] = tomllib.load(file)["project"]["optional-dependencies"][extra]
    return {name: version for name, _, version in (entry.partition("==") for entry in pinned)}


def install(environment: Path = ENVIRONMENT, extra: str = EXTRA, beside: str = "") -> None:
    """A new environment with nothing but the peers, and the packages of the folder ``beside``."""
    venv.create(environment, clear=True, with_pip=True)
    if beside:
        site = next((environment / "lib").glob("python*/site-packages"))
        (site / "beside.pth").write_text(f"{beside}\n", encoding="utf-8")
    pins = [f"{name}=={version}" for name, version in versions(extra).items()]
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *pins], check=True)


def installed() -> bool:
    """Whether the environment holds the pinned versions."""
    if not Path(_python()).exists():
        return False
    freeze = [_python(), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    found = json.loads(subprocess.run(freeze, check=True, capture_output=True, text=True).stdout)
    return versions().items() <= {entry["name"]: entry["version"] for entry in found}.items()


Answers = Mapping[tuple[str, str], Sequence[Answer]]
"""Tool and form of its logs -> its answers, in the order of the programs."""


def ask(judgements: Sequence[Judgement]) -> Answers:
    """Answers of each tool that reads recorded runs, about both forms of log."""
    answers = {}
    for form in FORMS:
        with tempfile.TemporaryDirectory() as folder:
            logs = [Path(folder) / f"{number}.csv" for number in range(len(judgements))]
            for item, log in zip(judgements, logs, strict=True):
                write_log(item.rows, log, form)
            answers.update({(peer.name, form): _ask(peer, logs) for peer in PEERS if not peer.cannot})
    return answers


def _ask(peer: Peer, logs: Sequence[Path]) -> list[Answer]:
    done = subprocess.run(
        [_python(), str(DRIVER), peer.name],
        input="".join(f"{log}\n" for log in logs),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(logs):
        raise RuntimeError(f"{peer.name}: {len(answers)} answers about {len(logs)} logs: {done.stderr[-500:]}")
    return [Answer(**{**answer, "findings": tuple(answer["findings"])}) for answer in answers]


def _python() -> str:
    return str(ENVIRONMENT / "bin" / "python")


if __name__ == "__main__":
    install()
    print(f"{ENVIRONMENT.relative_to(ROOT)}: {', '.join(f'{name} {version}' for name, version in versions().items())}")
    sys.exit(0 if installed() else 1)
