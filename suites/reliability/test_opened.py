"""What is noted of a trainer that a gate will judge: each way to open and to execute, in a fork that keeps its hook."""

from __future__ import annotations

import importlib
import json
import marshal
import os
import sys
from pathlib import Path

import pytest

from lvmcheck.launch import inputs, texts
from lvmcheck.launch.executed import INSTALLED, OWN, blob_hash, executed
from lvmcheck.launch.opened import Opened
from lvmcheck.launch.stamps import stamp
from lvmcheck.run import directory as rundir

pytestmark = pytest.mark.own_process  # it changes the working directory, the environment or constants

WAYS = """
import importlib.util, os, subprocess, sys, time
from pathlib import Path
AWAY = Path("..") / "away"

def run(text):
    exec(text, {})

def plain(): open("plain.log").read()
def twice(): open("plain.log").read()
def by_number(): os.read(os.open("number.log", os.O_RDONLY), 9)
def renamed(): os.rename("renamed.log", "new.log"); open("new.log").read()
def linked(): os.symlink("target.log", "alias.log"); open("alias.log").read()
def hard(): os.link("hard.log", "hard2.log"); open("hard2.log").read()
def appended(): open("appended.log", "a").close(); open("appended.log").read()
def both(): open("both.log", "r+").read()
def touched(): os.utime("touched.log"); open("touched.log").read()
def proc(): open("/proc/self/cwd/proc.log").read()
def below(): os.open("below.log", os.O_RDONLY, dir_fd=os.open("kept", os.O_RDONLY))
def repository(): open(".git/description").read()
def program(): subprocess.run(["true", "program.log"])
def module(): subprocess.run(["true", "-m", "inner.part"])
def shell(): os.system("true < 'shell.log'")
def elsewhere(): subprocess.run(["true", "aside.log"], cwd="kept")
def history(): subprocess.run(["true", "git", "show", "HEAD:x"])
def native(): import ctypes; ctypes.CDLL(None).fopen
def socket(): import socket as s; s.socket().connect_ex(("127.0.0.1", 9))
def pipe(): os.close(os.open("pipe.log", os.O_RDONLY | os.O_NONBLOCK))
def changed(): open("changed.log").read(); Path("changed.log").write_text("other")
def gone(): open("gone.log").read(); os.remove("gone.log")

def own(): open("own.log", "w").write("1"); open("own.log").read()
def moved(): open("a.tmp", "w").write("1"); os.replace("a.tmp", "moved.log"); open("moved.log").read()
def unseen(): subprocess.run(["sh", "-c", "echo 1 > unseen.out"]); open("unseen.out").read()
def absent():
    try: open("absent.log")
    except OSError: pass
def head(): open(".git/HEAD").read()
def metadata(): open("x.egg-info/PKG-INFO").read()
def numba(): open("__pycache__/f.nbi").read()
def kernels(): open("torchinductor_x/k.py").read()
def status(): subprocess.run(["git", "--version"])

def executes(): run(open(AWAY / "text").read())
def evaluates(): eval("len(%r)" % "plain.log" if False else open(AWAY / "expression").read())
def parses():
    import ast; exec(compile(ast.parse(open(AWAY / "parsed").read()), "x", "exec"), {})
def runs_path(): import runpy; runpy.run_path(str(AWAY / "script"))
def unmarshals(): import marshal; marshal.loads(open(AWAY / "marshalled", "rb").read())
def specified():
    spec = importlib.util.spec_from_file_location("aside_1", AWAY / "aside_1.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
def variable(): run(os.environ["TORCH_WAY"])
def nowhere(): run("no_where = " + str(6 * 7))
def shared(): run(open("/dev/shm/lvmcheck_text_of_a_test").read())

def literal(): eval(open(AWAY / "literal").read())
def harmless(): import ast; ast.literal_eval(open(AWAY / "harmless").read())
def of_source(): run("first = 1\\nsecond = 2")
def short(): eval("1+1")
def installed():
    import collections; collections.namedtuple("Pair", "left right")
"""
OPENED = {
    "plain": "plain.log",
    "by_number": "number.log",
    "renamed": "renamed.log",
    "linked": "target.log",
    "hard": "hard.log",
    "appended": "appended.log",
    "both": "both.log",
    "touched": "touched.log",
    "proc": "proc.log",
    "below": "kept/below.log",
    "repository": ".git/description",
    "program": "program.log",
    "module": "inner/part.py",
    "shell": "shell.log",
    "elsewhere": "kept/aside.log",
    "history": ".git: git show HEAD:x",
    "pipe": "pipe.log",
    "native": "fopen of the C library",
    "socket": "another process of this machine at ('127.0.0.1', 9)",
    "changed": "changed.log",
    "gone": "gone.log",
    "nowhere": "text that doing.py:7 executes",
}
LET_BE = (
    *("own.log", "moved.log", "new.log", "unseen.out", "absent.log", ".git/HEAD", "x.egg-info/PKG-INFO"),
    *("__pycache__/f.nbi", "torchinductor_x/k.py"),
)
EXECUTED = {
    "executes": "text",
    "evaluates": "expression",
    "parses": "parsed",
    "runs_path": "script",
    "unmarshals": "marshalled",
    "specified": "aside_1.py",
}
NOT_EXECUTED = ("literal", "harmless")
SHARED = Path("/dev/shm/lvmcheck_text_of_a_test")


def lay_out(root: Path) -> None:
    names = [name for name in OPENED.values() if name.endswith(".log")]
    for name in (*names, ".git/description", "inner/part.py", *LET_BE[5:]):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("ref: refs/heads/a_file" if name == ".git/HEAD" else "a file")
    (root / "pipe.log").unlink()
    os.mkfifo(root / "pipe.log")
    (root / "doing.py").write_text(WAYS)
    away = root.parent / "away"
    away.mkdir()
    for name in (*EXECUTED.values(), *NOT_EXECUTED):
        (away / name).write_text(f"len({name!r} + 'x')")
    (away / "literal").write_text("[1, 2, 'a text']")
    (away / "harmless").write_text("{'a': [1, 2, 3, 4]}")
    (away / "marshalled").write_bytes(marshal.dumps(compile("len('a')", "x", "exec")))
    SHARED.write_text("shared = float(1.25)")
    for file in root.rglob("*.log"):
        os.utime(file, (1e9, 1e9))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The working directory of a trainer that goes every way, and the directory of its run."""
    top = tmp_path_factory.mktemp("opened")
    root, folder = top / "root", top / "root" / ".lvmcheck" / "runs" / "one"
    folder.mkdir(parents=True)
    lay_out(root)
    try:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                goes_every_way(root, folder)
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        SHARED.unlink()
    return root, folder


def goes_every_way(root: Path, folder: Path) -> None:
    os.chdir(root)
    os.environ["TORCH_WAY"] = "way = float(3.75)"
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    Opened(folder, root, gated=True).watch()
    doing = importlib.import_module("doing")
    for name, way in list(vars(doing).items()):
        if callable(way) and way.__module__ == "doing" and name != "run":
            way()
    read = inputs.write_inputs(folder, root, stated=True)
    rundir.write_json(folder / rundir.INFO, {inputs.RECORD: read})


def test_every_way_to_open(record: tuple[Path, Path]) -> None:
    root, folder = record
    found = inputs.opened_files(folder)
    assert found is not None
    names = {os.path.relpath(path, root) for path in found}
    assert set(OPENED.values()) - names == set()
    assert set(LET_BE) & names == set()
    assert {name for name in names if name.startswith("text that")} == {OPENED["nowhere"]}
    empty = ("appended.log", "changed.log", "gone.log", "renamed.log", "pipe.log", "fopen of the C library")
    assert all(found[str(root / name)] == "" for name in empty if name != "appended.log")
    assert found[str(root / "plain.log")] == inputs.content(root / "plain.log") != ""


def test_every_way_to_execute(record: tuple[Path, Path]) -> None:
    root, folder = record
    found = inputs.executed_texts(folder)
    away = root.parent / "away"
    for way, name in EXECUTED.items():
        assert found.get(str(away / name)) == blob_hash(away / name), way
    assert not {str(away / name) for name in NOT_EXECUTED} & {*found}
    assert found["environment variable TORCH_WAY"] == ""
    assert str(SHARED) in found
    assert {path for path in found if path.startswith(str(root))} == {str(root / "doing.py")}


def test_a_record_that_was_mended_says_nothing(record: tuple[Path, Path], tmp_path: Path) -> None:
    folder = record[1]
    for name in (inputs.INPUTS, rundir.INFO):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert inputs.opened_files(tmp_path) == inputs.opened_files(folder)
    body = json.loads((tmp_path / inputs.INPUTS).read_text())
    (tmp_path / inputs.INPUTS).write_text(json.dumps({**body, "opened": {}}))
    assert inputs.opened_files(tmp_path) is None
    (tmp_path / inputs.INPUTS).unlink()
    assert inputs.opened_files(tmp_path) is None


def test_nothing_is_looked_up_without_a_gate(tmp_path: Path) -> None:
    hook = Opened(tmp_path / "run", tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "a").write_text("text = 12345")
    hook._hook("open", (str(tmp_path / "a"), "r", os.O_RDONLY))
    hook._hook("compile", ("text = 12345", "a"))
    hook._hook("ctypes.dlsym", (None, "open"))
    hook._hook("socket.connect", (None, ("127.0.0.1", 1)))
    hook._hook("no.such.event", ())
    assert [line[:2] for line in inputs.noted(tmp_path / "run")] == [
        ["read", str(tmp_path / "a")],
        ["host", "127.0.0.1:1"],
    ]


def test_the_words_of_a_command(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "b.py").write_text("")
    for words in (
        ["cat", "a.txt"],
        "cat a.txt",
        b"cat <a.txt",
        ["sh", "-c", "cat 'a.txt'|wc"],
        ["x", f"--file={tmp_path}/a.txt"],
    ):
        assert list(texts.named_files(words, tmp_path)) == [str(tmp_path / "a.txt")], words
    assert list(texts.named_files(["python", "-m", "b"], tmp_path)) == [str(tmp_path / "b.py")]
    assert list(texts.named_files(["python", "b"], tmp_path)) == []
    assert list(texts.named_files(None)) == []
    for name in ("more/.hidden/b.txt", "more/below/c.txt", ".kept/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("")
    meant = {"cat a*.txt": "a.txt", "grep -r x more": "more/below/c.txt", "cat .kept": ".kept/d.txt", "ls ?.py": "b.py"}
    for words, name in meant.items():  # a pattern and a folder, but for hidden ones below it
        assert list(texts.named_files(words, tmp_path)) == [str(tmp_path / name)], words
    assert texts.of_git(["/usr/bin/git", "-C", "x", "show", "HEAD:a"]) == "/usr/bin/git -C x show HEAD:a"
    assert texts.of_git("git cat-file -p 1") == "git cat-file -p 1"
    for other in (["git", "status"], "git rev-parse HEAD", ["show"], ["show", "git"], None):
        assert texts.of_git(other) == "", other


def test_large_files_and_many_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"12345678")
    assert texts.content(str(file)) == b"12345678"
    monkeypatch.setattr(texts, "LARGEST", 8)
    assert texts.content(str(file)) == b"12345678"
    monkeypatch.setattr(texts, "LARGEST", 7)
    assert texts.content(str(file)) == b""
    assert texts.content(str(tmp_path)) == texts.content(str(tmp_path / "none")) == b""
    seen = texts.Texts(("/installed/",))
    here = sys._getframe()
    assert seen.compiled("x = 0xff", None, here) == b"x = 0xff"
    assert seen.compiled("x = 0xff", None, here) == b""
    assert seen.compiled("x = 0xf", None, here) == b""
    assert seen.compiled(b" y = 0xff ", None, here) == b"y = 0xff"
    assert seen.compiled(None, None, here) == b""
    monkeypatch.setattr(texts, "MOST", 2)
    assert seen.compiled("z = 0xff", None, here) == b""
    assert [texts.is_literal(text) for text in ("[1, 'a']", b"1.5", "a()", "(", b"\xff")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_which_modules_count_as_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, aside, inside = (
        tmp_path / "torchinductor_x" / "k.py",
        tmp_path / "aside_2.py",
        tmp_path / "in" / "inside_2.py",
    )
    for file in (kernel, aside, inside):
        file.parent.mkdir(exist_ok=True)
        file.write_text("x = 1\n")
        monkeypatch.setitem(sys.modules, file.stem, type(sys)(file.stem))
        sys.modules[file.stem].__file__ = str(file)
    root = tmp_path / "in"
    assert {path for path in executed(root, outside=True) if str(tmp_path) in path} == {str(aside), str(inside)}
    assert {*executed(root, outside=False)} == {str(inside)}
    assert {*executed(root, outside=True, but={"aside_2"})} & {str(aside), str(inside)} == {str(inside)}
    assert str(kernel) in executed(kernel.parent, outside=False)
    for path in executed(root, outside=True):
        assert not any(Path(path).is_relative_to(place) for place in (*INSTALLED, OWN))
    assert executed(root, outside=False)[str(inside)] == blob_hash(inside)
    assert blob_hash(tmp_path) == ""
    cached = tmp_path / "inside_2.pyc"
    sys.modules["inside_2"].__cached__ = str(cached)
    assert executed(root, outside=False, bytecode=True)[str(inside)] == blob_hash(inside)  # none was used
    cached.write_bytes(bytes(16) + marshal.dumps(compile("x = 1\n", str(inside), "exec", dont_inherit=True)))
    assert executed(root, outside=False, bytecode=True)[str(inside)] == blob_hash(inside)
    for forged in (bytes(16) + marshal.dumps(compile("x = 2\n", str(inside), "exec")), b"", bytes(20)):
        cached.write_bytes(forged)
        assert executed(root, outside=False, bytecode=True)[str(inside)] == blob_hash(cached)
        assert executed(root, outside=False)[str(inside)] == blob_hash(inside)


def test_what_a_path_leads_to(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("abc")
    os.mkfifo(tmp_path / "pipe")
    assert stamp(str(tmp_path / "a")) == (3, (tmp_path / "a").stat().st_mtime_ns)
    assert [stamp(str(tmp_path / name)) for name in ("pipe", ".", "none")] == [
        (None, "a pipe or a device"),
        (None, "a folder"),
        (None, "nothing"),
    ]
