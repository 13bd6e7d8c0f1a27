"""Other tools that look into training, on the silent-error programs, in an environment of their own.

    python -m suites.gallery.step_peers --install     makes it below .lvmcheck; the versions stand in pyproject.toml
    python -m suites.gallery.step_peers               asks them all, and prints the table of docs/gallery-silent.md

It sees the torch of the environment that makes it. What was answered is kept (``--folder``) and not asked again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suites.gallery.peers import install, versions
from suites.gallery.recorded import ROOT
from suites.gallery.silent._judging import Judged, judge_all
from suites.gallery.silent._kit import Program
from suites.gallery.silent._verify import programs

ANSWERS = ROOT / ".lvmcheck" / "step-answers"
ENVIRONMENT = ROOT / ".lvmcheck" / "peers-steps"
EXTRA = "peers-steps"
Answer = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """A tool, what it is given, and what counts as red; ``before`` where it needs model, batch, loss and optimizer."""

    name: str
    given: str
    red: str
    before: bool = False


PEERS = (
    Peer("torchtest2", "`check_model` on the first batch", "a check that FAILs", before=True),
    Peer("pytest-torch", "five assertions on the first batch", "an AssertionError", before=True),
    Peer("torchmortem", "`Autopsy` around the loop", "severity CRITICAL"),
    Peer("torch-audit", "`autopatch` around the loop, every step", "severity ERROR, its exit code 1"),
    Peer("gradsnitch", "`watch`, loss and validation loss", "severity error"),
    Peer("torch-preflight", "the source, other variants left out", "severity error, its exit code 1"),
)


def ask(peer: Peer, chosen: Sequence[Program], folder: Path, *, kept_only: bool = False) -> dict[str, Answer]:
    """Its answers by program, those that are kept in ``folder`` included."""
    kept = folder / peer.name.replace("-", "_")
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    known = {found["name"]: found for found in map(json.loads, lines)}
    missing = [p.name for p in chosen if p.name not in known and (p.build is not None or not peer.before)]
    if missing and not kept_only:
        folder.mkdir(parents=True, exist_ok=True)
        driver = [str(ENVIRONMENT / "bin" / "python"), "-m", "suites.gallery.step_driver", kept.name, *missing]
        with kept.open("a", encoding="utf-8") as file:
            subprocess.run(driver, check=True, stdout=file, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        return ask(peer, chosen, folder)
    return {p.name: known[p.name] for p in chosen if p.name in known}


def table(chosen: Sequence[Program], answers: dict[str, dict[str, Answer]], ours: Sequence[Judged]) -> Iterable[str]:
    """Figures of each tool, and the broken programs that another tool says red of and we do not."""
    yield "| tool | is given | red is | broken: red | broken: only warned of | sound: red | sound: only warned of |"
    yield "|---|---|---|---|---|---|---|"
    healthy = {program.name: program.healthy for program in chosen}
    for peer in PEERS:
        found = answers[peer.name]
        cells = [_share(found, healthy, key, of) for of in (False, True) for key in ("red", "warned")]
        yield f"| {peer.name} {versions(EXTRA)[peer.name]} | {peer.given} | {peer.red} | {' | '.join(cells)} |"
    if ours:
        mine = {item.name: {"red": item.caught, "warned": item.warned} for item in ours}
        cells = [_share(mine, healthy, key, of) for of in (False, True) for key in ("red", "warned")]
        before = "`rec.watch` around the loop; `lvmcheck.preflight` where there is a first batch"
        yield f"| lvmcheck | {before} | a check or a probe that fails | {' | '.join(cells)} |"
    answered = [(peer, name, answer) for peer, of in answers.items() for name, answer in of.items()]
    errors = [f"{name} of {peer} ({answer['error']})" for peer, name, answer in answered if answer.get("error")]
    yield ""
    yield f"Could not be asked: {'; '.join(errors) if errors else 'none'}."
    yield ""
    yield "| program | fault | red by |"
    yield "|---|---|---|"
    caught = {item.name for item in ours if item.caught}
    for program in chosen:
        red = [peer for peer, found in answers.items() if found.get(program.name, {}).get("red")]
        if red and not program.healthy and program.name not in caught:
            said = "; ".join(f"{peer}: {', '.join(answers[peer][program.name]['findings'][:4])}" for peer in red)
            yield f"| {program.name} | {program.fault} | {said} |"


def _share(found: dict[str, Answer], healthy: dict[str, bool], key: str, of: bool) -> str:
    asked = [answer for name, answer in found.items() if healthy[name] is of]
    return f"{sum(bool(answer[key]) for answer in asked)} of {len(asked)}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m suites.gallery.step_peers", description=__doc__)
    parser.add_argument("--install", action="store_true", help="make the environment")
    parser.add_argument("--only", metavar="NAME", action="append", default=[], help="this program; may be repeated")
    parser.add_argument("--folder", type=Path, default=ANSWERS, help="where answers are kept")
    parser.add_argument(
        "--kept", action="store_true", help="only what is kept: how many of how many stands in the table"
    )
    parser.add_argument("--ours", action="store_true", help="judge them with lvmcheck, too: minutes")
    options = parser.parse_args(arguments)
    if options.install:
        install(ENVIRONMENT, EXTRA, beside=sysconfig.get_paths()["purelib"])
        return 0
    if not options.kept and not (ENVIRONMENT / "bin" / "python").exists():
        print(f"{ENVIRONMENT} is missing: python -m suites.gallery.step_peers --install", file=sys.stderr)
        return 2
    chosen = [program for program in programs() if not options.only or program.name in options.only]
    answers = {peer.name: ask(peer, chosen, options.folder, kept_only=options.kept) for peer in PEERS}
    print("\n".join(table(chosen, answers, judge_all([p.name for p in chosen]) if options.ours else ())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
