"""What is noted of a look, a link, a variable, a module and the number of cores, each asked for in a fork."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lvmcheck.launch import looks
from lvmcheck.launch.environment import may_decide, tell_of_withheld
from lvmcheck.launch.looks import CONTENT, CORES, FILE, FOLDER, LOOKED, NOT_SET, NOTHING, SIZED, TIMED, VARIABLE, Looks
from lvmcheck.launch.opened import Opened, database, is_data
from lvmcheck.launch.sights import noted
from lvmcheck.launch.sought import Sought, appeared, modules_in

pytestmark = pytest.mark.own_process  # it forks, and changes the working directory there

WAYS = """
import os
from pathlib import Path

def looks():
    os.path.exists("none"); os.path.exists("none")
    os.path.isdir("folder"); os.path.getsize("file"); Path("file").stat()
    os.access("flag", os.R_OK); os.access("no_flag", os.R_OK)
    os.path.isfile("file"); Path("file").exists(); Path("none").is_file()
    os.path.realpath("link"); os.path.lexists("gone"); os.path.islink("file"); os.readlink("dangling")
    os.stat(0); os.stat("pipe"); os.stat("other", dir_fd=os.open("folder", os.O_RDONLY)); os.stat(path="named")
    os.cpu_count(); os.sched_getaffinity(0); os.sched_getaffinity(0)
    os.environ.get("CI"); os.environ["CI"]; os.environ.get("HOME"); os.environ.get("PATH")
    newest()

def newest():
    max(["dated"], key=os.path.getmtime); max([Path("dated")], key=lambda path: path.stat().st_mtime)
    os.path.exists("dated"); os.path.getsize("file")
"""
PACKAGED = """
import os

def looks():
    os.path.exists("used"); os.path.exists(".cached"); os.path.exists("unused"); os.path.isdir("folder")
    os.cpu_count(); os.readlink("dangling"); os.environ.get("CI")
"""


def lay_out(root: Path) -> None:
    for name in ("file", "flag", "used", ".cached", "folder/other", "named", "dated"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("12345")
    os.utime(root / "dated", ns=(9, 9))
    os.mkfifo(root / "pipe")
    (root / "link").symlink_to("file")
    (root / "dangling").symlink_to("nowhere")
    (root / "own.py").write_text(WAYS)
    (root / "site-packages").mkdir()
    (root / "site-packages" / "packaged.py").write_text(PACKAGED)


def module_at(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def in_a_fork(root: Path, source: str) -> list[list[str]]:
    """What is noted of a module's looks in another process, relative to ``root``."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.chdir(root)
            seen: list[tuple[object, ...]] = []
            look = Looks(lambda *words: seen.append(words), lambda path: f"{root}/{os.fsdecode(path)}")
            module = module_at(root / source)
            os.environ["CI"] = "1"
            os.environ.pop("HOME", None)
            tell_of_withheld(print, look.variable)
            look.watch()
            module.looks()
            assert pickle.loads(pickle.dumps(os.stat)) is os.stat
            assert os.stat in os.supports_dir_fd
            assert os.stat in os.supports_follow_symlinks
            assert os.access in os.supports_effective_ids
            assert shutil.rmtree.avoids_symlink_attacks
            (root / "lines").write_text(json.dumps(seen))
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    lines = json.loads((root / "lines").read_text())
    found = [(kind, what.removeprefix(f"{root}/"), *rest) for kind, what, *rest in lines]
    return [list(line) for line in dict.fromkeys(found)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("looks").resolve()
    lay_out(made)
    return made


def test_what_own_code_looks_at(root: Path) -> None:
    assert in_a_fork(root, "own.py") == [
        [LOOKED, "none", NOTHING],
        [LOOKED, "folder", FOLDER],
        [SIZED, "file", "5 bytes"],
        [LOOKED, "flag", FILE],
        [LOOKED, "no_flag", NOTHING],
        [LOOKED, "file", FILE],
        [LOOKED, "link", "a link to file"],
        [LOOKED, "gone", NOTHING],
        [LOOKED, "dangling", "a link to nowhere"],
        [CORES, "cpu_count", str(os.cpu_count())],
        [CORES, "sched_getaffinity", str(len(os.sched_getaffinity(0)))],
        [VARIABLE, "CI", looks.digest_of("1")],
        [VARIABLE, "HOME", NOT_SET],
        [SIZED, "dated", "5 bytes"],
        [TIMED, "dated", "9 ns of change"],
        [LOOKED, "dated", FILE],
        [TIMED, "file", f"{(root / 'file').stat().st_mtime_ns} ns of change"],
    ]


def test_what_installed_code_looks_at(root: Path) -> None:
    """Files that are there, which it may open unseen; not what it does not find, and none of its caches."""
    assert in_a_fork(root, "site-packages/packaged.py") == [[LOOKED, "used", CONTENT]]


def test_a_glance_later(root: Path) -> None:
    def content(path: str) -> str:
        return f"{CONTENT}:{Path(path).read_text()}"

    glances = {
        ("none", NOTHING): NOTHING,
        ("file", NOTHING): "5 bytes",
        ("file", FILE): FILE,
        ("folder", FILE): FOLDER,
        ("none", FILE): NOTHING,
        ("folder", "5 bytes"): FOLDER,
        ("file", "4 bytes"): "5 bytes",
        ("file", f"{CONTENT}:x"): f"{CONTENT}:12345",
        ("link", "a link to x"): "a link to file",
        ("file", "a link to x"): "no link",
        ("none", f"{CONTENT}:x"): NOTHING,
        ("dated", "8 ns of change"): "9 ns of change",
        ("none", "8 ns of change"): NOTHING,
        ("folder", "names and times of change:x"): looks.times_in(str(root / "folder")),
    }
    for (name, then), now in glances.items():
        assert looks.glance(str(root / name), then, content) == now, name


def test_what_surrounds() -> None:
    numbers = {name: looks.cores(name) for name in ("cpu_count", "sched_getaffinity")}
    assert numbers == {"cpu_count": str(os.cpu_count()), "sched_getaffinity": str(len(os.sched_getaffinity(0)))}
    assert looks.digest_of(None) == NOT_SET != looks.digest_of("") != looks.digest_of("a")
    then = {"CI": looks.digest_of("1"), "HOME": NOT_SET}
    assert looks.other_surroundings(then, {}, {"CI": "1"}) is None
    assert "CI" in str(looks.other_surroundings(then, {}, {}))
    assert "HOME" in str(looks.other_surroundings(then, {}, {"CI": "1", "HOME": ""}))
    assert looks.other_surroundings({}, numbers, {}) is None
    for name in numbers:
        assert name in str(looks.other_surroundings({}, {name: "0"}, {}))


def test_variables_that_decide_once_they_are_asked_for() -> None:
    deciding = ("HOME", "CI", "LC_ALL", "XDG_DATA_HOME", "SLURM_ARRAY_TASK_ID", "SLURM_CPUS_PER_TASK")
    others = ("PATH", "TMPDIR", "SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_SUBMIT_DIR", "TERM", "XDG_TOKEN")
    assert [name for name in (*deciding, *others) if may_decide(name)] == [*deciding]


def test_modules_that_are_looked_for(tmp_path: Path) -> None:
    for name in (
        "first/other.py",
        "last/found.py",
        "last/pack/__init__.py",
        "last/space/x.py",
        "last/built.cpython.so",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    first, last, passed = (str(tmp_path / name) for name in ("first", "last", "passed"))
    assert modules_in(last, {"found", "pack", "space", "built", "x"}) == {"found", "pack", "built"}
    assert modules_in(str(tmp_path / "none"), {"found"}) == set()
    sought = Sought((f"{passed}{os.sep}",))
    sought.find_spec("found_nowhere", [first, last, passed])
    sought.find_spec("pack.part", [last])
    sought.find_spec("odd", 7)  # type: ignore[arg-type]
    missing = sought.missing()
    assert missing == {first: ["found_nowhere"], last: ["found_nowhere", "part"]}
    assert appeared(missing) is None
    assert appeared({first: ["other"]}) == f"the module other has appeared in {first}, where it was looked for"
    sought.find_spec("json")
    sought.find_spec("found_nowhere_at_all")
    sites = {tuple(names) for folder, names in sought.missing().items() if folder.endswith("-packages")}
    assert sites == {("found_nowhere_at_all",)}
    sought.watch()
    try:
        assert importlib.util.find_spec("no_such_module_anywhere") is None
    finally:
        sys.meta_path.remove(sought)  # type: ignore[arg-type]
    assert "no_such_module_anywhere" in sought.missing()[str(looks.SITES[0]).rstrip(os.sep)]


def test_times_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = looks.times_in(str(tmp_path))
    (tmp_path / ".hidden").write_text("1")
    assert looks.times_in(str(tmp_path)) == first
    os.utime(tmp_path / "a", ns=(1, 1))
    assert looks.times_in(str(tmp_path)) != first
    assert looks.times_in(str(tmp_path / "none")) == NOTHING


def test_what_counts(tmp_path: Path) -> None:
    folder, root = tmp_path / "root" / "run", tmp_path / "root"
    folder.mkdir(parents=True)
    hook = Opened(folder, root)
    site = looks.SITES[0]
    counted = {
        f"{root}/a": f"{root}/a",
        f"{folder}/events.jsonl": "",
        "/dev/shm/a": "/dev/shm/a",
        "/usr/share/dict/words": "/usr/share/dict/words",
        "/usr/lib/a": "",
        "/dev/null": "",
        f"{site}one/data.npz": f"{site}one/data.npz",
        f"{site}one/__init__.py": "",
        f"{site}one-1.0.dist-info/RECORD": "",
        f"{root}/.git/HEAD": "",
        f"{tmp_path}/torchinductor_x/a": "",
        f"{root}/__pycache__/a.cpython-311.pyc": f"{root}/a.py",
    }
    assert {path: hook._counts(path) for path in counted} == counted
    assert (is_data("a/b.json"), is_data("a/b.so"), is_data("x.egg-info/a")) == (True, False, False)
    assert database("a.db") == "a.db"
    assert database(b"file:a%20b.db?mode=ro") == "a b.db"
    assert database(":memory:") is database("file::memory:") is database("") is None
    hook._hook("sqlite3.connect", (f"file:{tmp_path}/b.db?mode=ro",))
    assert [line[:2] for line in noted(folder)] == [["read", f"{tmp_path}/b.db"]]


def test_a_relative_path_after_another_working_directory(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    hook = Opened(folder, tmp_path)
    hook.looks._seen.add("a")
    hook._hook("os.chdir", (str(tmp_path),))
    assert hook.looks._seen == set()


def test_who_lists_a_folder(tmp_path: Path) -> None:
    """Each listing is noted once, with whether the trainer's own code has asked for it."""
    folder = tmp_path / "run"
    for name in ("run", "own", "packaged"):
        (tmp_path / name).mkdir()
    child = os.fork()
    if child == 0:
        Opened(folder, tmp_path).watch()
        code = compile(f"import os; os.listdir({str(tmp_path / 'packaged')!r})", "/x/site-packages/a.py", "exec")
        os.listdir(tmp_path / "own")  # noqa: PTH208 - what a trainer may write
        exec(code, {})
        os._exit(0)
    os.waitpid(child, 0)
    found = [(Path(line[1]).name, line[-1]) for line in noted(folder) if line[0] == "folder"]
    assert found == [("own", True), ("packaged", False)]


def test_shared_memory_that_is_opened_by_its_name(tmp_path: Path) -> None:
    """What is there is read, and what is made is written."""
    folder, name = tmp_path / "run", f"lvmcheck_{os.getpid()}"
    folder.mkdir()
    child = os.fork()
    if child == 0:
        Opened(folder, tmp_path).watch()
        import _posixshmem as memory

        for flags in (os.O_CREAT | os.O_RDWR, os.O_RDWR):
            memory.shm_open(f"/{name}", flags, mode=0o600)
        os._exit(0)
    os.waitpid(child, 0)
    Path("/dev/shm", name).unlink()
    kinds = [line[0] for line in noted(folder) if line[1] == f"/dev/shm/{name}"]
    assert kinds == ["write", "read"]


def test_what_is_noted_of_programs_hosts_and_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "kept").write_text("1")
    hook = Opened(folder, tmp_path)
    for program in ("/usr/bin/gcc", "git", b"uname"):
        hook._hook("subprocess.Popen", (program, [program], None, None))
    hook._hook("subprocess.Popen", (None, ["cat", "x"], None, None))
    hook._hook("subprocess.Popen", ("/opt/tool", ["called"], None, None))
    hook._hook("os.exec", ("/opt/next", ["called"], {}))
    hook._hook("ctypes.dlopen", ("libm.so.6",))
    hook._hook("ctypes.dlopen", (str(tmp_path / "kept"),))
    hook._hook("os.posix_spawn", ("/bin/true", ["x"], {}))
    hook._hook("os.system", (b"make all",))
    here = (("localhost", 9), ("::1", 9, 0, 0), ("0.0.0.0", 9), ("127.1.2.3", 9), "/a/socket", ("", 9))
    for address in (("192.0.2.1", 9), *here, "temporary/pymp-1/listener", b"\0listener"):
        hook._hook("socket.connect", (None, address))
    hook._hook("socket.bind", (None, ("", 0)))
    hook._hook("socket.connect", (None, ("localhost", 10)))  # perhaps a server of its own
    code = compile("hook._hook('os.listdir', (folder,))", "/lib/importlib/a.py", "exec")
    exec(code, {"hook": hook, "folder": str(tmp_path)})
    hook._hook("os.utime", (str(tmp_path / "kept"),))
    hook._hook("os.rename", (str(tmp_path / "none"), str(tmp_path / "new")))
    assert [line[:2] for line in noted(folder)] == [
        ["process", "cat"],
        ["process", "/opt/tool"],
        ["process", "/opt/next"],
        ["read", str(tmp_path / "kept")],
        ["process", "/bin/true"],
        ["process", "make all"],
        ["host", "192.0.2.1"],
        *(["host", address] for address in ("localhost:9", "::1:9", "0.0.0.0:9", "127.1.2.3:9", "/a/socket")),
        ["longer", str(tmp_path / "kept")],
        ["write", str(tmp_path / "new")],
    ]
    monkeypatch.setattr("lvmcheck.launch.opened.MOST", len(hook._seen) + 2)
    for name in "abcd":
        hook._note("read", name)
    many = ["many", str(len(hook._seen) - 2)]
    assert [line[:2] for line in noted(folder)][14:] == [["read", "a"], ["read", "b"], many]
