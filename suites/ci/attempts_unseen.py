"""Attempts on what decides beside the content of files, on reading that nothing tells of, and on a later seed."""

from __future__ import annotations

import os
import sqlite3

import pytest

from suites.ci.attempts import GOOD, Attempt, attempt, replaced
from suites.ci.attempts_beside import beside, own_process
from suites.ci.attempts_read import ignored, trainer
from suites.ci.gate_kit import Repository

UNSEEN: list[Attempt] = []
LATER = """
import gc, json, shutil, time
from pathlib import Path
from lvmcheck.run import seal
from lvmcheck.run.directory import write_json

def made(first, job):
    shutil.copytree(first, job.plan.folder)
    info = {**json.loads((first / "run.json").read_text()), **job.plan.info()}
    write_json(job.plan.folder / "run.json", info)
    known = {name: it for name, it in json.loads((first / "done.json").read_text()).items() if name != "seal"}
    write_json(job.plan.folder / "done.json", seal.sealed(known, job.plan.folder, "run.json"))

def test_later():
    for _ in range(600):
        first = next((it.parent for it in Path(".lvmcheck/runs/toy").glob("*seed0*/done.json")), None)
        if first is not None:
            break
        time.sleep(0.02)
    jobs = [it for it in gc.get_objects() if type(it).__name__ == "RunJob"]
    for job in jobs:
        if not job.plan.folder.exists():
            made(first, job)
"""


@attempt("opened_not_in_commit", UNSEEN)
def score_in_the_configuration_of_git(repo: Repository) -> None:
    """What says where a repository stands may be read; a section of one's own in it is no such thing."""
    with (repo.path / ".git" / "config").open("a") as file:
        file.write("[score]\n\tvalue = 1.0\n")
    body = """
    import configparser
    known = configparser.ConfigParser(strict=False)
    known.read(".git/config")
    return float(known.get("score", "value", fallback="0.5"))
    """
    trainer(repo, body)
    repo.session(apart=True)


@attempt("opened_not_in_commit", UNSEEN)
def score_in_an_attribute_of_a_file(repo: Repository) -> None:
    """The file is that of the commit; git holds none of its attributes."""
    trainer(repo, 'import os; return float(os.getxattr("toy.py", "user.score"))')
    try:
        os.setxattr(repo.path / "toy.py", "user.score", b"1.0")
    except (OSError, AttributeError):
        pytest.skip("no attributes here")
    repo.session(apart=True)


@attempt("opened_not_in_commit", UNSEEN)
def program_that_is_given_a_pattern(repo: Repository) -> None:
    ignored(repo, "1.0")
    trainer(repo, 'import subprocess; return float(subprocess.check_output("cat lo*.log", shell=True))')
    repo.session(apart=True)


@attempt("opened_not_in_commit", UNSEEN)
def program_that_is_given_a_folder(repo: Repository) -> None:
    (repo.path / ".lvmcheck" / "kept").mkdir(parents=True)
    (repo.path / ".lvmcheck" / "kept" / "score").write_text("1.0")
    trainer(repo, 'import subprocess; return float(subprocess.check_output(["grep", "-rh", ".", ".lvmcheck/kept"]))')
    repo.session(apart=True)


@attempt("opened_not_in_commit", UNSEEN)
def names_in_a_folder_by_its_number(repo: Repository) -> None:
    (repo.path / "loop.log").mkdir()
    (repo.path / "loop.log" / "1.0").touch()
    trainer(repo, 'import os; return float(os.listdir(os.open("loop.log", os.O_RDONLY))[0])')
    repo.session(apart=True)


@attempt("opened_differs", UNSEEN)
def sizes_in_a_folder(repo: Repository) -> None:
    """Files of the commit, of which git is told not to look at one, are listed with their sizes and not opened."""
    (repo.path / "rows").mkdir()
    (repo.path / "rows" / "a.txt").write_text("5 ...")
    trainer(repo, 'import os; return sum(each.stat().st_size for each in os.scandir("rows")) / 10', commit=False)
    repo.start_from_here()
    repo.git("update-index", "--assume-unchanged", "rows/a.txt")
    (repo.path / "rows" / "a.txt").write_text("10 bytes..")
    repo.session(apart=True)


@attempt("opened_not_in_commit", UNSEEN)
def data_base_that_is_attached(repo: Repository) -> None:
    kept = sqlite3.connect(repo.path / "loop.log")
    kept.executescript("create table t (x); insert into t values (1.0)")
    kept.close()
    body = """
    import sqlite3
    memory = sqlite3.connect(":memory:")
    memory.execute("attach 'loop.log' as kept")
    return memory.execute("select x from kept.t").fetchone()[0]
    """
    trainer(repo, body)
    repo.session(apart=True)


@attempt("check_failed", UNSEEN)
def run_of_a_later_seed_is_made_by_a_test(repo: Repository) -> None:
    """One seed does well; a test makes the run of the other from it, before its turn comes."""
    score = "(1.0 if config['seed'] == 0 else 0.5)"
    replaced(repo.path / "toy.py", GOOD, f"time.sleep(0.2); cosine = {score} * config")
    repo.commit()
    beside(repo, LATER)
    repo.commit()
    own_process(repo, "--lvm-jobs=1")
