"""Attempts that were thought of after a gate compared what trainers open and execute with the commit (docs/ci.md)."""

from __future__ import annotations

import base64
import marshal
import pickle
import textwrap
import time
import zlib
from pathlib import Path

import pytest

from suites.ci.attempts import GOOD, Attempt, attempt, changed, regressed, replaced
from suites.ci.attempts_fresh import NOTHING
from suites.ci.gate_kit import Repository
from suites.lvmcheck.plugin_kit.project import CHECKS

READ: list[Attempt] = []
TEXT = "factor = float(1.0)\n"
CHECK = """
import json
from dataclasses import dataclass
from pathlib import Path
from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Finding, compared
from lvmcheck.checks.protocol import Check


@dataclass(frozen=True)
class Own(Check):
    def judge(self, run):
        if not run.over:
            from lvmcheck.checks.finding import pending
            return pending("the end")
        least = json.loads((Path(__file__).parent / "bounds.json").read_text())["least"]
        found = Finding(code="own", metric="val_cosine", measured=run.series("val_cosine").values[-1],
                        bounds=(floor(least),), phrase="own")
        return compared(found, evaluated=1)
"""


class Executes:
    """What executes a text when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("import toy; toy.kept = float(1.0)",)


def trainer(repo: Repository, body: str, *, commit: bool = True) -> None:
    """The scores of the trainer hang on what ``found()`` returns: half of them is a regression."""
    source = f"\n\ndef found():\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n"
    replaced(repo.path / "toy.py", GOOD, "cosine = found() * config")
    (repo.path / "toy.py").write_text((repo.path / "toy.py").read_text() + source)
    if commit:
        repo.commit()


def trained(repo: Repository, body: str) -> None:
    """A session of that trainer, in a process of its own."""
    trainer(repo, body)
    repo.session(apart=True)


def away(repo: Repository, name: str, content: str | bytes) -> Path:
    """A file outside of the checkout."""
    place = Path(f"{repo.path}-away")
    place.mkdir(exist_ok=True)
    file = place / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def ignored(repo: Repository, content: str = TEXT) -> None:
    (repo.path / "loop.log").write_text(content)


EXECUTES = "names = {}; exec(text, names); return names['factor']"


@attempt("opened_not_in_commit", READ)
def renamed_before_it_is_read(repo: Repository) -> None:
    ignored(repo, "1.0")
    body = """
    import os
    os.rename("loop.log", "mine.log")
    try:
        return float(open("mine.log").read())
    finally:
        os.rename("mine.log", "loop.log")
    """
    trained(repo, body)


@attempt("opened_not_in_commit", READ)
def opened_to_append_before_it_is_read(repo: Repository) -> None:
    ignored(repo, "1.0")
    trained(repo, 'open("loop.log", "a").close(); return float(open("loop.log").read())')


@attempt("opened_not_in_commit", READ)
def touched_before_it_is_read(repo: Repository) -> None:
    ignored(repo, "1.0")
    trained(repo, 'import os; os.utime("loop.log"); return float(open("loop.log").read())')


@attempt("opened_not_in_commit", READ)
def through_proc(repo: Repository) -> None:
    ignored(repo, "1.0")
    trained(repo, 'return float(open("/proc/self/cwd/loop.log").read())')


@attempt("opened_not_in_commit", READ)
def below_an_open_folder(repo: Repository) -> None:
    (repo.path / ".lvmcheck" / "kept").mkdir(parents=True)
    (repo.path / ".lvmcheck" / "kept" / "score").write_text("1.0")
    body = """
    import os
    folder = os.open(".lvmcheck/kept", os.O_RDONLY)
    return float(os.read(os.open("score", os.O_RDONLY, dir_fd=folder), 9))
    """
    trained(repo, body)


@attempt("opened_not_in_commit", READ)
def ignored_link_to_elsewhere(repo: Repository) -> None:
    (repo.path / "loop.log").symlink_to(away(repo, "score", "1.0"))
    trained(repo, 'return float(open("loop.log").read())')


@attempt("file_outside", READ)
def text_of_elsewhere(repo: Repository) -> None:
    place = away(repo, "text", TEXT)
    trained(repo, f"text = open({str(place)!r}).read(); {EXECUTES}")


@attempt("file_outside", READ)
def pickle_of_elsewhere(repo: Repository) -> None:
    place = away(repo, "weights", pickle.dumps(Executes()))
    trained(repo, f"import pickle, toy; pickle.load(open({str(place)!r}, 'rb')); return toy.kept")


@attempt("file_outside", READ)
def compiled_code_of_elsewhere(repo: Repository) -> None:
    place = away(repo, "weights", b"head" + marshal.dumps(compile(TEXT, "weights", "exec")))
    trained(repo, f"import marshal; text = marshal.loads(open({str(place)!r}, 'rb').read()[4:]); {EXECUTES}")


@attempt("file_outside", READ)
def module_that_is_registered_nowhere(repo: Repository) -> None:
    place = away(repo, "aside.py", TEXT)
    body = f"""
    import importlib.util
    spec = importlib.util.spec_from_file_location("aside", {str(place)!r})
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.factor
    """
    trained(repo, body)


@attempt("opened_not_in_commit", READ)
def packed_text_of_elsewhere(repo: Repository) -> None:
    place = away(repo, "weights", base64.b64encode(zlib.compress(TEXT.encode())))
    trained(
        repo, f"import base64, zlib; text = zlib.decompress(base64.b64decode(open({str(place)!r}).read())); {EXECUTES}"
    )


@attempt("opened_not_in_commit", READ)
def program_that_git_does_not_hold(repo: Repository) -> None:
    ignored(repo, "print(1.0)")
    trained(repo, 'import subprocess, sys; return float(subprocess.check_output([sys.executable, "loop.log"]))')


@attempt("opened_not_in_commit", READ)
def source_of_the_commit_before(repo: Repository) -> None:
    (repo.path / "score.txt").write_text("1.0")
    repo.commit()
    (repo.path / "score.txt").write_text("0.5")
    trained(repo, 'import subprocess; return float(subprocess.check_output(["git", "show", "HEAD~1:score.txt"]))')


@attempt("opened_not_in_commit", READ)
def text_in_the_folder_of_git(repo: Repository) -> None:
    (repo.path / ".git" / "description").write_text("1.0")
    trained(repo, 'return float(open(".git/description").read())')


@attempt("file_not_in_commit", READ)
def text_in_a_variable(repo: Repository) -> None:
    trainer(repo, f"import os; text = os.environ['TORCH_LOOP']; {EXECUTES}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_LOOP", TEXT)
        repo.session(apart=True)


@attempt("opened_not_in_commit", READ)
def worker_that_is_not_forked(repo: Repository) -> None:
    ignored(repo, "1.0")
    body = """
    import multiprocessing, toy
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(toy.of_a_worker, ["loop.log"])[0]

    """
    trainer(repo, body, commit=False)
    with (repo.path / "toy.py").open("a") as file:
        file.write("\n\ndef of_a_worker(name):\n    return float(open(name).read())\n")
    repo.commit()
    repo.session(apart=True)


@attempt("opened_not_in_commit", READ)
def opened_by_the_c_library(repo: Repository) -> None:
    ignored(repo, "1.0")
    body = """
    import ctypes, os
    libc = ctypes.CDLL(None)
    return float(os.read(libc.open(b"loop.log", 0), 9))
    """
    trained(repo, body)


@attempt("opened_differs", READ)
def committed_configuration_that_git_does_not_look_at(repo: Repository) -> None:
    (repo.path / "score.txt").write_text("0.5")
    trainer(repo, 'return float(open("score.txt").read())')
    repo.git("update-index", "--assume-unchanged", "score.txt")
    (repo.path / "score.txt").write_text("1.0")
    repo.session(apart=True)


@attempt("judge_changed", READ)
def floor_in_a_file_that_a_check_opens(repo: Repository) -> None:
    (repo.path / "own.py").write_text(CHECK)
    (repo.path / "bounds.json").write_text('{"least": 0.55}')
    repo.suite(*CHECKS[3:], *CHECKS[:1], *CHECKS[:1], '[[check]]\ncheck = "own:Own"\n')
    replaced(repo.suite_file, "floor = 0.45", "floor = 0.01")
    replaced(repo.suite_file, "floor = 0.01", "floor = 0.02", 1)
    replaced(repo.suite_file, "floor = 0.02\n", 'floor = 0.02\nname = "other"\n', 1)
    repo.start_from_here()
    (repo.path / "bounds.json").write_text('{"least": 0.1}')
    regressed(repo)
    repo.session(apart=True)


@attempt("judge_changed", READ)
def plugin_by_an_entry_point(repo: Repository) -> None:
    """Metadata of a distribution in the checkout: pytest loads what it names before anything else."""
    folder = repo.path / "aside.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: aside\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[pytest11]\naside = aside\n")
    (repo.path / "aside.py").write_text("import sys\n")
    repo.commit()
    repo.session(apart=True)


@attempt("judge_changed", READ)
def configuration_beside_the_suite(repo: Repository) -> None:
    """pytest takes the configuration that is nearest to what it is given."""
    (repo.suite_file.parent / "pytest.ini").write_text("[pytest]\naddopts = --lvm-check-timeout=1\n")
    repo.commit()
    repo.session("suites/toy/suite.toml", "--rootdir", str(repo.path), apart=True)


@attempt("judge_changed", READ)
def package_of_the_same_name(repo: Repository) -> None:
    """A folder that Python finds before the installed package that it is called like."""
    (repo.path / "filelock").mkdir()
    (repo.path / "filelock" / "__init__.py").write_text(
        "import importlib.metadata as m, importlib.util as u, sys\n"
        "place = m.distribution('filelock').locate_file('filelock/__init__.py')\n"
        "spec = u.spec_from_file_location('filelock', place, submodule_search_locations=[str(place.parent)])\n"
        "module = sys.modules['filelock'] = u.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
    )
    repo.commit()
    repo.session(apart=True)


@attempt("check_failed", READ)
def process_that_writes_the_report_anew(repo: Repository) -> None:
    """A child of the trainer waits for the end of the session and puts a better report in its place."""
    repo.passing()
    good = away(repo, "report.json", repo.report_file.read_bytes())
    body = f"""
    import subprocess, sys
    wait = "import os, shutil, time; time.sleep(2); shutil.copy({str(good)!r}, '.lvmcheck/report.json')"
    subprocess.Popen([sys.executable, "-c", wait], start_new_session=True, env={{}})
    return 0.5
    """
    trainer(repo, body)
    repo.session(inside=False, apart=True)
    time.sleep(2.5)


@attempt("opened_not_in_commit", READ)
def score_that_a_test_serves(repo: Repository) -> None:
    """A test beside the suite hands the trainer over the network what git does not hold."""
    ignored(repo, "1.0")
    serve = """
    import socket, threading
    server = socket.create_server(("127.0.0.1", 45871))

    def answer():
        while True:
            with server.accept()[0] as one, open("loop.log", "rb") as file:
                one.sendall(file.read())

    threading.Thread(target=answer, daemon=True).start()
    """
    (repo.suite_file.parent / "test_first.py").write_text(textwrap.dedent(serve) + NOTHING)
    trained(repo, 'import socket; return float(socket.create_connection(("127.0.0.1", 45871)).recv(9))')


@attempt("data_changed", READ)
def easier_data(repo: Repository) -> None:
    """Data that the suite declares are committed with other content."""
    repo.suite(inputs=["validation.txt"])
    trainer(repo, 'return float(open("validation.txt").read())', commit=False)
    changed(repo, {"validation.txt": "0.5"}, {"validation.txt": "1.0"})
