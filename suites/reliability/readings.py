"""A trainer that reads in every way it can think of, and what changes what it has read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

TRAINER = """
import contextlib, ctypes, importlib, importlib.machinery, importlib.util, locale, os, runpy, sqlite3, sys
from pathlib import Path
import numpy

def newest():
    return max(Path("dated").glob("*"), key=lambda path: path.stat().st_mtime)

def train(config, rec):
    seen = [importlib.import_module("plug" + "in_" + str(7)).X, importlib.import_module("space." + "inner").X]
    seen.append(runpy.run_path("script" + ".txt")["X"])
    seen.append(Path("data.txt").read_text())
    seen.append(os.read(os.open("raw.bin", os.O_RDONLY), 9))
    seen.append(numpy.load("rows.npy", mmap_mode="r")[0])
    seen.append(Path("link.txt").read_text())
    seen.append((Path("linked_folder") / "part.txt").read_text())
    seen.append(sorted(os.listdir("parts")))
    seen.append(sqlite3.connect("table.db").execute("select * from t").fetchall())
    with open("parts/a.txt") as file:
        seen.append(file.read())
    try:
        seen.append(Path("override.txt").read_text())
    except FileNotFoundError:
        pass
    loader = importlib.machinery.ExtensionFileLoader("_operand_flag_tests", str(Path("compiled.so").absolute()))
    importlib.util.module_from_spec(importlib.util.spec_from_loader("_operand_flag_tests", loader))
    ctypes.CDLL(str(Path("library.so").absolute()))
    child = os.fork()
    if child == 0:
        Path("of_a_worker.txt").read_text()
        os._exit(0)
    os.waitpid(child, 0)
    Path("log.txt").open("a").write("trained\\n")
    with open("log.txt") as file:
        file.read()
    seen.append(os.environ.get("FLAVOUR"))
    seen += [os.path.exists("pretrained.txt"), os.access("flag.txt", os.R_OK), os.path.getsize("sized.txt")]
    seen += [os.path.realpath("latest.txt"), os.path.lexists("hanging.txt"), Path("kept").is_dir()]
    seen.append(sqlite3.connect("file:uri.db?mode=ro", uri=True).execute("select * from t").fetchall())
    sys.path.insert(0, "first")
    seen += [importlib.import_module("look" + "up").X, importlib.util.find_spec("fancy_module")]
    seen.append(numpy.lib.npyio.DataSource().exists("used.bin"))
    seen.append(Path(Path("shm.txt").read_text()).read_text())
    seen += [os.environ.get("CI"), os.environ.get("SLURM_ARRAY_TASK_ID"), os.environ.get("SLURM_JOB_ID")]
    seen += [Path("~").expanduser(), len(os.sched_getaffinity(0))]
    seen.append(newest().read_text())
    memory = sqlite3.connect(":memory:")
    memory.execute("attach 'attached.db' as more")
    seen += [memory.execute("select * from more.t").fetchall(), os.listdir(os.open("numbered", os.O_RDONLY))]
    seen += [[each.stat().st_size for each in os.scandir("measured")], os.stat("moded.txt").st_mode]
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_ALL, "")
    for epoch in range(1, config["epochs"] + 1):
        rec.step(loss=1.0 / epoch)
        rec.epoch(epoch, val_cosine=0.5 + epoch / 100)
"""
SUITE = """
[suite]
about = "reads"
checks = 1

[run]
trainer = "reading:train"
epochs = 2
seeds = [0]
env = ["FLAVOUR"]

[[check]]
check = "finite"
"""


def lay_out(path: Path, memory: Path | None = None) -> Path:
    """Everything that the trainer reads, and its suite file.

    Args:
        memory: a file in shared memory that it reads.
    """
    (path / "reading.py").write_text(TRAINER)
    (path / "plugin_7.py").write_text("X = 1\n")
    (path / "space").mkdir()
    (path / "space" / "inner.py").write_text("X = 1\n")
    (path / "script.txt").write_text("X = 1\n")
    for name in ("data.txt", "raw.bin", "of_a_worker.txt", "flag.txt", "sized.txt", "used.bin", "moded.txt"):
        (path / name).write_text("12345")
    import numpy as np

    np.save(path / "rows.npy", np.arange(8))
    (path / "elsewhere").mkdir()
    (path / "elsewhere" / "part.txt").write_text("behind a link")
    (path / "link.txt").symlink_to(path / "elsewhere" / "part.txt")
    (path / "linked_folder").symlink_to(path / "elsewhere")
    (path / "parts").mkdir()
    (path / "parts" / "a.txt").write_text("a")
    (path / "latest.txt").symlink_to("data.txt")
    (path / "first").mkdir()
    (path / "kept").mkdir()
    for name in ("numbered", "measured"):
        (path / name).mkdir()
        (path / name / "a").write_text("12345")
    (path / "dated").mkdir()
    for number, name in enumerate("ab"):
        (path / "dated" / name).write_text(name)
        os.utime(path / "dated" / name, (number, number))
    (path / "lookup.py").write_text("X = 1\n")
    (path / "shm.txt").write_text(str(memory or path / "data.txt"))
    if memory is not None:
        memory.write_text("12345")
    import sqlite3

    for name in ("table.db", "uri.db", "attached.db"):
        table = sqlite3.connect(path / name)
        table.execute("create table t (x)")
        table.commit()
        table.close()
    numpy = Path(np.__file__).parent / "_core"
    for target, name in (("compiled.so", "_operand_flag_tests"), ("library.so", "_rational_tests")):
        shutil.copy(next(numpy.glob(f"{name}.*")), path / target)
    suite = path / "suites" / "reading" / "suite.toml"
    suite.parent.mkdir(parents=True)
    suite.write_text(SUITE)
    return suite


def shared(path: Path) -> Path:
    """A file in shared memory; whoever lays it out takes it away."""
    return Path("/dev/shm") / f"lvmcheck_readings_{path.parent.name}_{path.name}"


def rewritten(name: str, content: str | None = None) -> Callable[[Path], Callable[[], object]]:
    """Other content of the same size and time; returns what puts it back."""

    def change(path: Path) -> Callable[[], object]:
        file = path / name
        before, stat = file.read_bytes(), file.stat()
        other = bytes([before[0] ^ 1]) + before[1:] if content is None else content.encode()
        file.write_bytes(other)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

        def restore() -> None:
            file.write_bytes(before)
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

        return restore

    return change


def added(name: str) -> Callable[[Path], Callable[[], object]]:
    def change(path: Path) -> Callable[[], object]:
        (path / name).write_text("new")
        return (path / name).unlink

    return change


def gone(path: Path, name: str = "data.txt") -> Callable[[], object]:
    (path / name).rename(path / "data.away")
    return lambda: (path / "data.away").rename(path / name)


def turned(name: str, to: str) -> Callable[[Path], Callable[[], object]]:
    """The link leads to another file."""

    def change(path: Path) -> Callable[[], object]:
        before = (path / name).readlink()
        (path / name).unlink()
        (path / name).symlink_to(to)

        def restore() -> None:
            (path / name).unlink()
            (path / name).symlink_to(before)

        return restore

    return change


def longer(name: str) -> Callable[[Path], Callable[[], object]]:
    def change(path: Path) -> Callable[[], object]:
        (path / name).write_text("123456")
        return lambda: (path / name).write_text("12345")

    return change


def executable(path: Path) -> Callable[[], object]:
    mode = (path / "moded.txt").stat().st_mode
    (path / "moded.txt").chmod(mode | 0o111)
    return lambda: (path / "moded.txt").chmod(mode)


def touched(path: Path) -> Callable[[], object]:
    os.utime(path / "dated" / "a", (7, 7))
    return lambda: os.utime(path / "dated" / "a", (0, 0))


def in_memory(path: Path) -> Callable[[], object]:
    shared(path).write_text("54321")
    return lambda: shared(path).write_text("12345")


def piped(path: Path) -> Callable[[], object]:
    back = gone(path)
    os.mkfifo(path / "data.txt")

    def restore() -> None:
        (path / "data.txt").unlink()
        back()

    return restore


CHANGES: dict[str, Callable[[Path], Callable[[], object]]] = {
    "a module of a computed name": rewritten("plugin_7.py"),
    "a module of a namespace package": rewritten("space/inner.py"),
    "a script that is run": rewritten("script.txt"),
    "a file that is read": rewritten("data.txt"),
    "a file that is read through a descriptor": rewritten("raw.bin"),
    "a file that is mapped": rewritten("rows.npy"),
    "the file behind a link": rewritten("elsewhere/part.txt"),
    "the link": turned("link.txt", "data.txt"),
    "a file in a folder that is listed": added("parts/b.txt"),
    "a file that was not there": added("override.txt"),
    "a file that a forked worker reads": rewritten("of_a_worker.txt"),
    "a compiled extension": rewritten("compiled.so"),
    "a library loaded by ctypes": rewritten("library.so"),
    "a data base": rewritten("table.db"),
    "a file that is gone": gone,
    "a pipe in place of a file": piped,
    "a file that was asked for": added("pretrained.txt"),
    "a link that was asked for": added("hanging.txt"),
    "a file that is there no more": lambda path: gone(path, "flag.txt"),
    "a folder that is there no more": lambda path: gone(path, "kept"),
    "the size of a file": longer("sized.txt"),
    "where a link leads": turned("latest.txt", "raw.bin"),
    "a data base named by a URI": rewritten("uri.db"),
    "a module that is found before": added("first/lookup.py"),
    "a module that was asked for": added("fancy_module.py"),
    "a file that a package looks at": rewritten("used.bin"),
    "a file in shared memory": in_memory,
    "which file is the newest": touched,
    "a data base that is attached": rewritten("attached.db"),
    "a file in a folder that is listed by its number": added("numbered/b"),
    "the size of a file in a folder": longer("measured/a"),
    "the mode of a file": executable,
}
VARIABLES = ("CI", "SLURM_ARRAY_TASK_ID", "HOME", "LC_ALL", "LC_NUMERIC", "LANG")
"""Variables that are no part of the key, and that the trainer asks for, some by its locale; also one that is another
in every job."""
NEUTRAL: dict[str, Callable[[Path], Callable[[], object]]] = {
    "a file that is not read": added("unused.txt"),
    "a file that the run has written": added("log.txt"),
    "a module that is not imported": added("unused.py"),
    "a hidden file in a folder that is listed": added("parts/.hidden"),
}
