"""60 ways to leave early: whatever leaves, the session is not green.

Green is what a gate accepts: pytest ends with 0, and its report says that it passed, with every check answered and none
that failed. ``python -m suites.reliability.test_leaving`` counts those that end with 0 and what their report says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from suites.lvmcheck.plugin_kit.project import CURVE, EPOCHS, floor
from suites.reliability.leaving import HEAD, PLACES, QUICK, WAYS

FULL = os.environ.get("LVM_RELIABILITY") == "full"
GOOD, RED = floor(1, 0.45), floor("final", 0.9)
TRAINER = """
def train(config, rec):
    for epoch in range(1, config["epochs"] + 1):
        if epoch == 2:
            {act}
            if rec.stop:
                return
        rec.epoch(epoch, val_cosine=config["curve"][epoch - 1])
"""
CHECK = """
from dataclasses import dataclass
from lvmcheck import Check

@dataclass(frozen=True, kw_only=True)
class Mine(Check):
    def judge(self, run):
        {act}
"""
FIXTURE = """
@pytest.fixture(scope="session")
def leaves():
    {act}

def test_first(leaves):
    pass
"""
OPTIONS = ["-p", "no:cacheprovider", "-p", "no:benchmark", "-p", "no:hypothesispytest", "-q", "--lvm-json=report.json"]


def lay_out(folder: Path, place: str, act: str) -> None:
    """A project whose suite is honest and whose ``place`` leaves; beside what may leave the session it is red."""
    checks = {"trainer": [GOOD, floor("final", 0.5)], "check": [GOOD, '[[check]]\ncheck = "mine:Mine"\n']}
    own = checks.get(place, [GOOD, RED])
    trainer = TRAINER.format(act=act if place == "trainer" else "pass")
    (folder / "mine_trainer.py").write_text(HEAD + trainer)
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    table = {"trainer": "mine_trainer:train", "epochs": EPOCHS, "seeds": [0], "curve": CURVE}
    keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
    suite = folder / "suites" / "toy" / "suite.toml"
    suite.parent.mkdir(parents=True)
    suite.write_text(f'[suite]\nabout = "a toy"\nchecks = {len(own)}\n\n[run]\n{keys}\n\n' + "\n".join(own))
    if place == "check":
        (folder / "mine.py").write_text(HEAD + CHECK.format(act=act))
    elif place == "conftest":
        (folder / "conftest.py").write_text(f"{HEAD}\n{act}\n")
    elif place == "fixture":
        (folder / "suites" / "test_before.py").write_text(HEAD + FIXTURE.format(act=act))


def session(folder: Path) -> tuple[int, str, bool]:
    """How pytest ended, what its report says of itself, and whether a gate could believe it."""
    words = [sys.executable, "-m", "pytest", *OPTIONS, "suites"]
    done = subprocess.run(words, cwd=folder, capture_output=True, timeout=120, check=False)
    report = folder / "report.json"
    body = json.loads(report.read_text()) if report.is_file() else {}
    checks = [check for suite in body.get("suites", ()) for check in suite["checks"]]
    answered = [check["verdict"]["outcome"]["status"] == "passed" for check in checks]
    status = str(body.get("status", "no report"))
    return done.returncode, status, done.returncode == 0 and status == "passed" and len(answered) == 2 and all(answered)


@pytest.mark.parametrize(("place", "way"), WAYS if FULL else sorted(QUICK))
def test_leaving_is_never_green(place: str, way: str, tmp_path: Path) -> None:
    lay_out(tmp_path, place, PLACES[place][way])
    code, status, green = session(tmp_path)
    assert not green, (code, status)


def test_who_stays_is_green(tmp_path: Path) -> None:
    lay_out(tmp_path, "trainer", "pass")
    assert session(tmp_path) == (0, "passed", True)


def test_there_are_sixty() -> None:
    assert len(WAYS) == len(set(WAYS)) == 60
    assert set(WAYS) > QUICK


def main() -> None:
    """Every way once; how they ended, counted."""
    ended: Counter[str] = Counter()
    greens = 0
    for place, way in WAYS:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            lay_out(folder, place, PLACES[place][way])
            code, status, green = session(folder)
        greens += green
        ended[f"exit status {'0' if code == 0 else 'not 0'}, report: {status}"] += 1
        if code == 0:
            sys.stdout.write(f"{place} {way}: exit status 0, report: {status}\n")
    sys.stdout.write(f"{len(WAYS)} ways to leave early, {greens} green\n")
    sys.stdout.writelines(f"  {count:2} {how}\n" for how, count in ended.most_common())


if __name__ == "__main__":
    main()
