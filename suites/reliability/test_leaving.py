"""60 ways to leave early: whatever leaves, the exit status is not 0.

In three forms: pytest alone, under xdist, and by torchrun. There a way of a trainer leaves in one of two gloo ranks of
a plain script whose run is judged afterwards; the others leave in both sessions of ``torchrun -m pytest``. Trainers
leave in three more forms: in rank 0 of such a script, in both sessions, in rank 1 of a suite that asks for two ranks.
``python -m suites.reliability.test_leaving [plain|xdist|torchrun|torchrun_first|sessions|ranks]`` counts how they ended
and what their report says.
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
from suites.reliability.leaving import TRAINER as TRAINERS

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
RANKS = """
import torch, torch.distributed as dist
import lvmcheck

def main():
    dist.init_process_group("gloo")
    with lvmcheck.record("recorded", config={{"epochs": {epochs}}}, seed=0) as rec:
        for epoch, value in enumerate({curve}, start=1):
            if epoch == 2 and dist.get_rank() == {rank}:
                {act}
            total = torch.tensor([value])
            dist.all_reduce(total)
            rec.epoch(epoch, val_cosine=float(total) / 2)
    dist.destroy_process_group()

main()
"""
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
TORCHRUN += ["--rdzv-endpoint=localhost:0", "--log-dir=ranks"]
FORMS = ("plain", "xdist", "torchrun")
SCRIPTS = {"torchrun": 1, "torchrun_first": 0}
"""Forms in which a trainer is a plain script of two ranks -> the rank that leaves."""
OF_TRAINERS = ("torchrun_first", "sessions", "ranks")
"""Further forms for trainers: the other rank leaves, both sessions of ``torchrun -m pytest`` train, and one of the two
ranks that a suite asks for leaves.
"""
DISTRIBUTED = "\n[run.distributed]\nranks = 2\n"
ONE_RANK = """if os.environ["RANK"] == "1":
                {act}"""
CASES = [(form, *way) for form in FORMS for way in WAYS] if FULL else [("plain", *way) for way in sorted(QUICK)]
CASES += [(form, "trainer", way) for form in OF_TRAINERS for way in TRAINERS] if FULL else []
STAYS = [(form, place) for form in FORMS for place in ("trainer", "conftest")]
STAYS += [(form, "trainer") for form in OF_TRAINERS]
OPTIONS = ["-p", "no:cacheprovider", "-p", "no:benchmark", "-p", "no:hypothesispytest", "-q", "--lvm-json=report.json"]


def lay_out(folder: Path, place: str, act: str, more: str = "") -> None:
    """A project whose suite is honest and whose ``place`` leaves; beside what may leave the session it is red.

    Args:
        more: further keys and tables of the run.
    """
    checks = {"trainer": [GOOD, floor("final", 0.5)], "check": [GOOD, '[[check]]\ncheck = "mine:Mine"\n']}
    own = checks.get(place, [GOOD, floor("final", 0.5) if act == "pass" else RED])
    trainer = TRAINER.format(act=act if place == "trainer" else "pass")
    (folder / "mine_trainer.py").write_text(HEAD + trainer)
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    table = {"trainer": "mine_trainer:train", "epochs": EPOCHS, "seeds": [0], "curve": CURVE}
    keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
    suite = folder / "suites" / "toy" / "suite.toml"
    suite.parent.mkdir(parents=True)
    suite.write_text(f'[suite]\nabout = "a toy"\nchecks = {len(own)}\n\n[run]\n{keys}\n{more}\n' + "\n".join(own))
    if place == "check":
        (folder / "mine.py").write_text(HEAD + CHECK.format(act=act))
    elif place == "conftest":
        (folder / "conftest.py").write_text(f"{HEAD}\n{act}\n")
    elif place == "fixture":
        (folder / "suites" / "test_before.py").write_text(HEAD + FIXTURE.format(act=act))


def lay_out_ranks(folder: Path, act: str, rank: int) -> None:
    """The same suite, and a plain script of two ranks, of which one leaves, that records what it judges."""
    lay_out(folder, "trainer", "pass")
    body = RANKS.format(act=act, epochs=EPOCHS, curve=CURVE, rank=rank)
    (folder / "ranks.py").write_text(HEAD + body)


def laid_out(folder: Path, place: str, way: str, form: str) -> None:
    act = PLACES[place].get(way, "pass")
    if form in SCRIPTS and place == "trainer":
        lay_out_ranks(folder, act, SCRIPTS[form])
    elif form == "ranks":
        lay_out(folder, place, ONE_RANK.format(act=act), DISTRIBUTED)
    else:
        lay_out(folder, place, act)


def words(place: str, form: str) -> list[list[str]]:
    """The commands of a user; the first that does not end with 0 is the last."""
    pytest_words = ["-m", "pytest", *OPTIONS, "suites"]
    if form not in (*SCRIPTS, "sessions"):
        return [[sys.executable, *pytest_words, *(["-n2"] if form == "xdist" else [])]]
    if place == "trainer" and form in SCRIPTS:
        check = [sys.executable, "-m", "lvmcheck", "check", "recorded", "--suite", "suites/toy/suite.toml"]
        return [[*TORCHRUN, "ranks.py"], check]
    return [[*TORCHRUN, *pytest_words]]


def session(folder: Path, place: str, form: str = "plain", limit: float = 180) -> tuple[int, str]:
    """How the commands ended, and what the report says of itself."""
    code = 0
    for command in words(place, form):
        code = code or subprocess.run(command, cwd=folder, capture_output=True, timeout=limit, check=False).returncode
    report = folder / "report.json"
    return code, str(json.loads(report.read_text()).get("status")) if report.is_file() else "no report"


@pytest.mark.parametrize(("form", "place", "way"), CASES)
def test_leaving_is_never_green(form: str, place: str, way: str, tmp_path: Path) -> None:
    laid_out(tmp_path, place, way, form)
    code, status = session(tmp_path, place, form)
    assert code != 0
    assert status != "passed"


@pytest.mark.parametrize(("form", "place"), STAYS if FULL else [("plain", "conftest")])
def test_who_stays_is_green(form: str, place: str, tmp_path: Path) -> None:
    laid_out(tmp_path, place, "nothing", form)
    assert session(tmp_path, place, form)[0] == 0


def test_there_are_sixty() -> None:
    assert len(WAYS) == len(set(WAYS)) == 60
    assert set(WAYS) > QUICK


def main() -> None:
    """Every way once, or those of one place; how they ended, counted."""
    form = sys.argv[1] if len(sys.argv) > 1 else "plain"
    places = sys.argv[2:] or (["trainer"] if form in OF_TRAINERS else [*PLACES])
    ways = [(place, way) for place, way in WAYS if place in places]
    ended: Counter[str] = Counter()
    for place, way in ways:
        with tempfile.TemporaryDirectory() as temporary:
            laid_out(Path(temporary), place, way, form)
            code, status = session(Path(temporary), place, form, limit=1800)
        ended[f"exit status {'0' if code == 0 else 'not 0'}, report: {status}"] += 1
        if code == 0:
            sys.stdout.write(f"{place} {way}: exit status 0, report: {status}\n")
            sys.stdout.flush()
    greens = sum(count for how, count in ended.items() if how.startswith("exit status 0"))
    sys.stdout.write(f"{len(ways)} ways to leave early ({form}), {greens} green\n")
    sys.stdout.writelines(f"  {count:2} {how}\n" for how, count in ended.most_common())


if __name__ == "__main__":
    main()
