"""``lvmcheck doctor``: what would spoil results is found, shown with its fix, and decides the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
from filelock import FileLock
from packaging.requirements import Requirement

import lvmcheck
from lvmcheck.commands.doctor import packages as of_packages
from lvmcheck.commands.doctor.busy import Busy, busy_processes, load_item
from lvmcheck.commands.doctor.item import Item, size
from lvmcheck.commands.doctor.machine import machine
from lvmcheck.commands.doctor.packages import packages, plugins, requirements
from lvmcheck.commands.doctor.runs_folder import runs_folder
from lvmcheck.commands.doctor.screen import answer, screen
from lvmcheck.commands.doctor.torch_probe import torch
from lvmcheck.commands.main import main
from lvmcheck.extras import install
from lvmcheck.launch.locks import run_lock
from lvmcheck.run.info import TAINTING, make_run

pytestmark = pytest.mark.own_process  # it sets directory and environment


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (*TAINTING, "OMP_NUM_THREADS", "MKL_NUM_THREADS", "PYTEST_ADDOPTS", of_packages.AUTOLOAD):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def named(items: list[Item], name: str) -> Item:
    (found,) = (item for item in items if item.name == name)
    return found


# -- the command -------------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("here")
def test_a_sound_machine_fits_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--no-torch"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 45
    assert lines[-1].startswith("nothing found here would spoil results")
    assert any("python: 3." in line for line in lines)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", TAINTING)
def test_a_variable_that_taints_runs_decides_the_exit_code(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "1")
    assert main(["doctor", "--no-torch"]) == 1
    said = capsys.readouterr().out
    assert f"do: unset {name}" in said
    assert f"1 would spoil results: {name}" in said
    monkeypatch.setenv(name, "0")
    assert main(["doctor", "--no-torch"]) == 0


@pytest.mark.usefixtures("here")
def test_json_says_the_same(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KMP_DUPLICATE_LIB_OK", "TRUE")
    assert main(["doctor", "--no-torch", "--json"]) == 1
    body = json.loads(capsys.readouterr().out)
    assert (body["format"], body["spoiled"]) == (1, True)
    assert [item["name"] for item in body["items"] if item["spoils"]] == ["KMP_DUPLICATE_LIB_OK"]


@pytest.mark.usefixtures("here")
def test_torch_is_not_imported_by_the_command_itself() -> None:
    code = "import sys\nfrom lvmcheck.commands.main import main\nmain(['doctor'])\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"version: {metadata.version('torch')}" in done.stdout


# -- torch -------------------------------------------------------------------------------------------------------------
BROKEN = {
    "import fails": ("raise ImportError('libcudart.so.12: cannot open shared object file')", "libcudart.so.12"),
    "dies": ("import os; os.abort()", "cannot be imported or used: exit -6"),
    "another module": ("print('hello')", "another module of that name"),
    "wrong product": ("print('{\"one\": 511.0}')", "multiplies wrongly: 511.0 for 512.0"),
    "hangs": ("import time; time.sleep(60)", "took more than 0.5 s"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_torch_is_reported(broken: str) -> None:
    code, says = BROKEN[broken]
    limit = 0.5 if broken == "hangs" else 30.0
    (item,) = torch(ask=True, limit=limit, command=(sys.executable, "-c", code))
    assert item.spoils
    assert says in item.problem


def test_a_device_that_torch_cannot_use_spoils_results(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"version": "2", "built": "CPU only", "cuda": False, "devices": [], "mps": False, "threads": 1, "one": 512.0}
    command = (sys.executable, "-c", f"print({json.dumps(said)!r})")
    monkeypatch.setattr("lvmcheck.commands.doctor.torch_probe.guess_device", lambda _: "cuda")
    item = named(list(torch(ask=True, command=command)), "device")
    assert item.spoils
    assert "has cuda and this torch cannot use it" in item.problem
    good = said | {"cuda": True, "devices": [["H100", 80_000_000_000, "9.0"]]}
    found = list(torch(ask=True, command=(sys.executable, "-c", f"print({json.dumps(good)!r})")))
    assert not any(item.spoils for item in found)
    assert named(found, "cuda:0").value == "H100, 80 GB, compute capability 9.0"


# -- packages and plugins ----------------------------------------------------------------------------------------------
def test_a_dependency_of_another_version_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [Requirement("numpy<1"), Requirement("surely-not-there>=1"), Requirement("pytest>=1")]
    monkeypatch.setattr(of_packages, "requirements", lambda: (wanted, {"x": [Requirement("nor-this")]}))
    found = list(packages({}))
    assert "expected <1" in named(found, "numpy").problem
    assert named(found, "surely-not-there").fix == 'pip install "surely-not-there>=1"'
    assert all(named(found, name).spoils for name in ("numpy", "surely-not-there"))
    extra = named(found, "extra x")
    assert extra.value == 'not installed; pip install -e ".[x]"'
    assert not extra.spoils


def test_an_extra_of_a_wheel_is_installed_by_the_names_of_its_packages() -> None:
    assert install("parquet", checkout=True) == 'pip install -e ".[parquet]"'
    assert install("parquet", checkout=False).startswith('pip install "pyarrow>=')
    assert install("no-such", checkout=False) == 'pip install "lvmcheck[no-such]"'


def test_the_declared_dependencies_are_those_of_the_project() -> None:
    needed, extras = requirements()
    assert {"torch", "numpy", "pytest"} <= {requirement.name for requirement in needed}
    assert "pyarrow" in {requirement.name for requirement in extras["parquet"]}


@pytest.mark.parametrize(("plugin", "spoils"), [("rerunfailures", True), ("flaky", True), ("randomly", False)])
def test_plugins_that_interfere(plugin: str, spoils: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    there = [metadata.EntryPoint(name, "x", "pytest11") for name in ("lvmcheck", plugin)]
    monkeypatch.setattr(metadata, "entry_points", lambda group: there if group == "pytest11" else [])
    item = named(list(plugins({})), plugin)
    assert item.problem
    assert item.spoils is spoils
    monkeypatch.setattr(metadata, "entry_points", lambda **_: there[1:])
    assert "lvmcheck is not among them" in named(list(plugins({})), "plugins").problem


def test_variables_that_change_what_pytest_runs() -> None:
    assert named(list(plugins({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})), "PYTEST_DISABLE_PLUGIN_AUTOLOAD").spoils
    assert "hides checks" in named(list(plugins({"PYTEST_ADDOPTS": "-k epoch_1"})), "PYTEST_ADDOPTS").problem


@pytest.mark.parametrize(("said", "wrong"), [("0", True), ("many", True), ("100000", True), ("1", False)])
def test_threads_that_cannot_be(said: str, wrong: bool) -> None:
    assert bool(named(list(machine({"OMP_NUM_THREADS": said})), "OMP_NUM_THREADS").problem) is wrong


# -- runs, disk and git ------------------------------------------------------------------------------------------------
def test_runs_that_were_left_are_told_from_those_that_go_on(here: Path) -> None:
    runs = here / ".lvmcheck" / "runs" / "toy"
    with lvmcheck.record(runs / "ended") as rec:
        rec.step(loss=1.0)
    for name in ("left", "going"):
        make_run(runs / name, {})
    with FileLock(run_lock(runs / "going")):
        item = named(list(runs_folder(here, here / ".lvmcheck")), "runs ended")
    assert item.value == "3 runs: 1 ended, 1 running"
    assert item.problem == "1 began and are not running: .lvmcheck/runs/toy/left"
    assert not (runs / "left.lock").exists()
    assert not item.spoils


def test_a_full_disk_spoils_results(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvmcheck.commands.doctor.runs_folder.LOW", 1e30)
    assert named(list(runs_folder(here, here / ".lvmcheck")), "folder").spoils


def test_a_place_that_is_a_file(here: Path) -> None:
    (here / "taken").write_text("x")
    item = named(list(runs_folder(here, here / "taken" / "below")), "folder")
    assert item.spoils
    assert "not a writable folder" in item.problem


def test_git(here: Path) -> None:
    assert named(list(runs_folder(here, here / ".lvmcheck")), "repository").value.startswith("none here")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *words], cwd=here, check=True, capture_output=True)
    (here / "new").write_text("x")
    assert named(list(runs_folder(here, here / ".lvmcheck")), "revision").value.endswith(
        "1 files changed or not tracked"
    )
    tree = here / ".lvmcheck" / "revisions" / "abc" / "tree"
    subprocess.run(["git", "worktree", "add", "--detach", str(tree)], cwd=here, check=True, capture_output=True)
    assert (
        "1 worktrees of `lvmcheck compare`" in named(list(runs_folder(here, here / ".lvmcheck")), "worktrees").problem
    )


# -- words -------------------------------------------------------------------------------------------------------------
def test_sizes() -> None:
    assert [size(n) for n in (0, 999, 1500, 25.3e9, 2.5e12)] == ["0 B", "999 B", "1.5 kB", "25.3 GB", "2.5 TB"]


def test_problems_carry_what_to_do() -> None:
    items = [Item(group="a", name="x", value="1", problem="bad", fix="mend it", spoils=True)]
    assert screen(items) == [
        "✗ a           x: 1",
        " " * 14 + "bad",
        " " * 14 + "do: mend it",
        "1 would spoil results: x",
    ]
    assert answer([]) == "nothing found here would spoil results"


SPIN = "while True: pass"


# -- what else computes ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("threads", "cores", "said"),
    [
        ((), 2, ""),
        ((1,), 2, ""),
        ((1, 1), 2, "2 busy processes share 2 cores with each run"),
        ((1, 1), 4, ""),
        ((4,), 4, "a busy process with 4 threads shares 4 cores with each run"),
        ((1,), 1, "a busy process with 1 thread shares 1 core with each run"),
    ],
)
def test_busy_processes_are_a_problem_where_they_leave_no_core(threads: tuple[int, ...], cores: int, said: str) -> None:
    found = load_item([Busy(10 + i, "spin", count) for i, count in enumerate(threads)], cores, 1.5)
    assert found.problem.partition(":")[0] == said
    assert not found.spoils  # figures stay right, they only come later
    assert found.value.endswith("load average 1.5")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
def test_a_process_that_computes_is_found_and_one_that_sleeps_is_not() -> None:
    spin, sleep = (subprocess.Popen([sys.executable, "-c", code]) for code in (SPIN, "import time; time.sleep(60)"))
    try:
        ready = time.monotonic() + 60
        while spin.pid not in {process.pid for process in busy_processes()}:
            assert time.monotonic() < ready
        assert sleep.pid not in {process.pid for process in busy_processes()}
    finally:
        for process in (spin, sleep):
            process.kill()
            process.wait()
