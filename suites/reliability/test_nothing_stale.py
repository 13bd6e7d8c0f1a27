"""A run is reused only while everything that its trainer has opened, imported and read is as it was."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lvmcheck.launch import inputs, looks, packages
from lvmcheck.launch.beyond import LOCALES
from lvmcheck.launch.existing_run import Aside, ExistingRun, examine
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.launch.process import trainer_environment
from lvmcheck.run import directory as rundir
from lvmcheck.run.info import make_run
from lvmcheck.run.regular_file import read_json
from lvmcheck.suite import load_suite
from suites.lvmcheck.plugin_kit.project import Project, events, floor
from suites.reliability.readings import CHANGES, NEUTRAL, TRAINER, VARIABLES, lay_out, shared

FULL = os.environ.get("LVM_RELIABILITY") == "full"
ENVIRONMENT = {**os.environ, "FLAVOUR": "plain", "MY_TOKEN": "secret", "UNUSUAL": "1"}


def planned(path: Path, **changed: str) -> Plan:
    sys.path.insert(0, str(path))
    importlib.invalidate_caches()
    try:
        suite = path / "suites" / "reading" / "suite.toml"
        settings = Settings(
            home=path / ".lvmcheck", root=path, session="now", environment={**ENVIRONMENT, **changed}, start=path
        )
        plan = Plan(load_suite(suite), 0, settings)
        plan.info()  # looked up while the path is there
        return plan
    finally:
        sys.path.remove(str(path))


def trained(path: Path) -> Plan:
    """A plan whose trainer has run, in its own process as always, in a session before this one."""
    plan = planned(path)
    make_run(plan.folder, {**plan.info(), "session": "before"})
    (plan.folder / rundir.JUDGED).write_text(str(1 << 40))  # nobody judges here, so that nothing need be waited for
    environment = trainer_environment(plan.settings.environment, path, threads=1, seed=0, named=plan.env)
    environment["PYTHONPATH"] = os.pathsep.join([str(path), environment["PYTHONPATH"]])
    command = [sys.executable, "-P", "-m", "lvmcheck.launch.worker", str(plan.folder), str(os.getpid())]
    subprocess.run(command, cwd=path, env=environment, check=True, capture_output=True)
    return plan


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Plan]]:
    path = tmp_path_factory.mktemp("reading")
    lay_out(path, shared(path))
    yield path, trained(path)
    shared(path).unlink()


def reason(plan: Plan) -> str | None:
    """Why a session would not reuse the run; it is put back."""
    found = examine(plan)
    if isinstance(found, ExistingRun):
        return None
    assert isinstance(found, Aside)
    assert found.path is not None
    found.path.rename(plan.folder)
    return found.reason


def test_nothing_changed(read: tuple[Path, Plan]) -> None:
    assert reason(read[1]) is None


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_what_was_read(read: tuple[Path, Plan], change: str) -> None:
    path, plan = read
    restore = CHANGES[change](path)
    try:
        began = time.process_time()
        said = reason(plan)
        assert said is not None, change
        assert str(path) in said or str(shared(path)) in said
        assert "\n" not in said
        assert time.process_time() - began < 2
    finally:
        restore()
    assert reason(plan) is None


def test_what_surrounds_a_trainer_that_asks(read: tuple[Path, Plan]) -> None:
    path, plan = read
    for name in VARIABLES:
        assert name in str(reason(planned(path, **{name: "7"}))), name
    for name in ("SLURM_JOB_ID", "USER", "XDG_CACHE_HOME"):
        assert reason(planned(path, **{name: "7"})) is None, name
    record = read_json(plan.folder / inputs.INPUTS) or {}
    assert record["cores"] == {"sched_getaffinity": str(len(os.sched_getaffinity(0)))}
    assert {*record["variables"]} == {*VARIABLES, *LOCALES}
    assert looks.other_surroundings({}, record["cores"], {}) is None
    assert "4096" in str(looks.other_surroundings({}, {"sched_getaffinity": "4096"}, {}))


@pytest.mark.parametrize("change", NEUTRAL)
def test_what_was_not_read_changes_nothing(read: tuple[Path, Plan], change: str) -> None:
    path, plan = read
    before = (path / "log.txt").read_bytes()
    restore = NEUTRAL[change](path)
    try:
        assert reason(plan) is None
    finally:
        restore()
        (path / "log.txt").write_bytes(before)


def test_a_mended_record_of_inputs_is_not_used(read: tuple[Path, Plan]) -> None:
    plan = read[1]
    record = plan.folder / inputs.INPUTS
    before = record.read_bytes()
    record.write_bytes(before.replace(b'"unknown": []', b'"unknown": [ ]'))
    try:
        assert reason(plan) == "what it read was not recorded"
    finally:
        record.write_bytes(before)


def test_variables_that_a_trainer_sees_are_part_of_the_key(read: tuple[Path, Plan]) -> None:
    path, plan = read
    key = plan.key["key"]
    assert planned(path, FLAVOUR="other").key["key"] != key
    assert planned(path, CUDA_VISIBLE_DEVICES="3").key["key"] != key
    assert planned(path, TZ="Asia/Tokyo").key["key"] != key
    for name in ("UNUSUAL", "HOME", "LC_ALL", "OMP_NUM_THREADS", "MY_TOKEN", "GITHUB_SHA"):
        assert planned(path, **{name: "other"}).key["key"] == key
    made = trainer_environment(ENVIRONMENT, path, threads=1, seed=0, named=plan.env)
    assert made["FLAVOUR"] == "plain"
    assert not {"UNUSUAL", "MY_TOKEN"} & {*made}
    assert "secret" not in (plan.folder / rundir.INFO).read_text()


# -- what cannot be known ----------------------------------------------------------------------------------------------
UNKNOWN = {
    "a program": ('__import__("subprocess").run(["cat", "data.txt"])', "cat"),
    "a shell": ('os.system("true")', "true"),
    "a worker that is not forked": (
        'm = __import__("multiprocessing").get_context("spawn"); p = m.Process(target=print); p.start(); p.join()',
        "not forked",
    ),
    "a host": (
        's = __import__("socket").socket(); s.settimeout(.01)\n    try: s.connect(("192.0.2.1", 9))\n'
        "    except OSError: pass",
        "192.0.2.1",
    ),
    "a program that Python's own processes start": (
        'os.waitpid(__import__("multiprocessing.util").util.spawnv_passfds(b"/bin/cat", ["cat", "data.txt"], []), 0)',
        "/bin/cat",
    ),
    "a data base whose name comes later": (
        '__import__("sqlite3").connect(":memory:").execute("attach ? as more", ("table.db",))',
        "ATTACH",
    ),
    "a package that reads in compiled code": ('__import__("h5py")', "h5py"),
    "a server of this machine": (
        's = __import__("socket").socket()\n    try: s.connect(("127.0.0.1", 9))\n    except OSError: pass',
        "127.0.0.1:9",
    ),
    "a file that torch opens": ("0 and torch.from_file(0)", "torch.from_file"),
    "a file that changes meanwhile": ('Path("data.txt").write_text("other")', "data.txt"),
}


def test_what_cannot_be_known_is_not_reused(tmp_path: Path) -> None:
    """Every way in one trainer: each is a reason of its own, and a variable that it does not get is named once."""
    lay_out(tmp_path)
    (tmp_path / "h5py.py").write_text("")
    lines = ['Path("data.txt").read_text()', 'os.environ.get("UNUSUAL")', *(code for code, _ in UNKNOWN.values())]
    source = "".join(f"    {line}\n" for line in lines)
    simple = TRAINER[: TRAINER.index("    seen = ")] + source + TRAINER[TRAINER.index("    for epoch") :]
    (tmp_path / "reading.py").write_text(simple)
    plan = trained(tmp_path)
    reasons = (read_json(plan.folder / inputs.INPUTS) or {})["unknown"]
    assert len(reasons) == len(UNKNOWN)
    for way, (_, named) in UNKNOWN.items():
        assert any(named in said for said in reasons), way
    assert reason(plan) == reasons[0]
    notes = [event["text"] for event in events(plan.folder, "note")]
    assert ["UNUSUAL" in note and "--lvm-env" in note for note in notes] == [True]


COPIES = {
    "as text": "os.environ.copy()",
    "as bytes": "dict(os.environb)",
    "by names": "[name for name in os.environ]",
}


@pytest.mark.parametrize("copy", COPIES if FULL else ["as bytes"])
def test_an_environment_that_is_copied_as_a_whole(tmp_path: Path, copy: str) -> None:
    """A variable that was not set then may be asked for in the copy."""
    lay_out(tmp_path)
    simple = TRAINER[: TRAINER.index("    seen = ")] + TRAINER[TRAINER.index("    for epoch") :]
    (tmp_path / "reading.py").write_text(simple.replace("\ndef newest", f"\nCOPY = {COPIES[copy]}\ndef newest"))
    trained(tmp_path)
    assert reason(planned(tmp_path)) is None
    for name, decides in (("SLURM_ARRAY_TASK_ID", True), ("SLURM_JOB_ID", False), ("UNUSUAL", False)):
        assert (reason(planned(tmp_path, **{name: "7"})) is not None) == decides, name


def test_attributes_of_a_file(tmp_path: Path) -> None:
    lay_out(tmp_path)
    try:
        os.setxattr(tmp_path / "data.txt", "user.score", b"0.5")
    except (OSError, AttributeError):
        pytest.skip("no attributes here")
    line = '    os.getxattr("data.txt", "user.score")\n'
    simple = TRAINER[: TRAINER.index("    seen = ")] + line + TRAINER[TRAINER.index("    for epoch") :]
    (tmp_path / "reading.py").write_text(simple)
    plan = trained(tmp_path)
    assert reason(plan) is None
    os.setxattr(tmp_path / "data.txt", "user.score", b"0.9")
    assert "attributes" in str(reason(plan))


def test_another_encoding_is_another_key(tmp_path: Path) -> None:
    """What ``open`` takes where nobody says one: a file reads otherwise by it."""
    code = "from lvmcheck.launch.key import run_key; from pathlib import Path; import json;"
    code += (
        "print(run_key('json:loads', {}, 0, device='cpu', inputs=[], cache=Path('.'), environment={}).get('encoding'))"
    )
    said = []
    for more in ({"PYTHONUTF8": "1"}, {"PYTHONUTF8": "0", "LC_ALL": "C"}):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env={**os.environ, **more}, cwd=tmp_path, capture_output=True, check=True)
        said.append(done.stdout.decode().strip())
    assert said[0] == "None" != said[1]


def test_a_suite_may_state_what_is_read_unseen(tmp_path: Path) -> None:
    suite = lay_out(tmp_path)
    suite.write_text(suite.read_text().replace("env =", 'inputs = ["part*/*.txt", "data.txt"]\nenv ='))
    (tmp_path / "reading.py").write_text(TRAINER.replace("    seen = ", '    os.system("true")\n    seen = '))
    plan = trained(tmp_path)
    assert reason(plan) is None
    assert sorted(map(os.path.basename, plan.key["inputs"])) == ["a.txt", "data.txt"]
    (tmp_path / "parts" / "a.txt").write_text("b")
    assert planned(tmp_path).key["key"] != plan.key["key"]


def test_a_package_of_another_version_or_edited(tmp_path: Path) -> None:
    info = tmp_path / "Some_Thing-1.0.dist-info"
    info.mkdir()
    file = tmp_path / "thing" / "__init__.py"
    file.parent.mkdir()
    file.write_text("")
    (info / "RECORD").write_text("thing/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n")
    module = ModuleType("thing")
    module.__file__ = str(file)
    sys.modules["thing"] = module
    try:
        known = packages.imported([tmp_path])
    finally:
        del sys.modules["thing"]
    assert known["Some_Thing"] == {**known["Some_Thing"], "version": "1.0", "files": ["thing/__init__.py"]}
    assert packages.changed(known, [tmp_path]) is None
    then = file.stat().st_mtime_ns
    os.utime(file, ns=(then, then + 10**9))  # installed anew: other times, the content of then
    assert packages.changed(known, [tmp_path]) is None
    for content in ("1", "a = 1\n"):
        file.write_text(content)
        os.utime(file, ns=(then, then))  # as under a clock that was put back
        assert "edited" in str(packages.changed(known, [tmp_path]))
    file.write_text("")
    assert packages.changed(known, [tmp_path]) is None
    (info / "RECORD").write_text("")
    assert "edited" in str(packages.changed(known, [tmp_path]))
    info.rename(tmp_path / "Some_Thing-1.1.dist-info")
    assert "1.0 then, 1.1 now" in str(packages.changed(known, [tmp_path]))


def test_large_files_are_sampled(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(8 << 20))
    first = inputs.content(file, 1 << 20)
    assert first.startswith("samples:")
    with file.open("r+b") as handle:
        handle.seek((8 << 20) - 1)
        handle.write(b"1")
    assert inputs.content(file, 1 << 20) != first


# -- through pytest ----------------------------------------------------------------------------------------------------
def reads_data(project: Project) -> None:
    source = (project.path / "toy.py").read_text()
    reads = "    Path('data.txt').read_text()\n    state, begin"
    (project.path / "toy.py").write_text(source.replace("    state, begin", reads))


def test_a_session_says_why_it_trains_again_and_keeps_the_run(pytester: pytest.Pytester) -> None:
    project = Project(pytester)
    reads_data(project)
    (project.path / "data.txt").write_text("1")
    project.suite(floor(1, 0.45))
    project.pytest().assert_outcomes(passed=1)
    (project.path / "data.txt").write_text("2")
    result = project.pytest("-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*trained again: */data.txt has changed; the run before is kept as *.1"])
    assert project.trainings() == 2
    aside = next(path for name, path in project.runs().items() if name.endswith(".1"))
    assert "data.txt" in str((read_json(aside / "aside.json") or {})["reason"])


def test_an_interrupted_run_is_not_continued_on_other_data(pytester: pytest.Pytester) -> None:
    project = Project(pytester)
    reads_data(project)
    (project.path / "data.txt").write_text("1")
    project.suite(floor("final", 0.45), die="sigkill")
    project.pytest().assert_outcomes(failed=1)
    project.pytest().assert_outcomes(failed=1)
    assert [event.get("resumed_at_step") for event in events(project.run(), "begin")] == [None, 20]
    (project.path / "data.txt").write_text("22")
    project.pytest().assert_outcomes(failed=1)
    assert [event.get("resumed_at_step") for event in events(project.run(), "begin")] == [None]
