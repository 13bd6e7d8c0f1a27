"""What becomes of the notes of a run when it ends: its inputs, what cannot be compared, and what a gate is shown."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from lvmcheck.launch.beyond import ATTRIBUTES, MODE, NONE, SIZES, mode_of, sizes_in
from lvmcheck.launch.looks import CORES, FILE, FOLDER, LOOKED, NOTHING, SIZED, TIMED, VARIABLE, times_in
from lvmcheck.launch.opened import OPENED
from lvmcheck.launch.sights import CALLS, LISTED, Sights, no_state_of_git, noted, vanished
from lvmcheck.launch.stamps import content, names_in, stamp, stamped

BEFORE, START = 1_000, 2_000
"""Times of change in ns, before the run began and its beginning."""


def file(path: Path, text: str = "text", when: int = BEFORE) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(when, when))
    return str(path)


def sights(root: Path, *lines: tuple[object, ...]) -> Sights:
    folder = root / "run"
    folder.mkdir(exist_ok=True)
    notes = [("start", str(START)), *lines]
    (folder / OPENED).write_text("".join(f"{json.dumps(line)}\n" for line in notes))
    return Sights(folder, root)


def test_files_that_were_read(tmp_path: Path) -> None:
    kept, made, own = (file(tmp_path / name) for name in ("kept", "made", "own"))
    changed, grown = file(tmp_path / "changed"), file(tmp_path / "grown")
    absent, came = str(tmp_path / "absent"), file(tmp_path / "came")
    os.mkfifo(tmp_path / "pipe")
    pipe, later = str(tmp_path / "pipe"), file(tmp_path / "later", when=START + 1)
    found = sights(
        tmp_path,
        ("read", kept, *stamp(kept)),
        ("read", kept, 1, 1),  # the first sight counts
        ("write", made),
        ("read", made, *stamp(made)),
        ("longer", own),
        ("read", own, *stamp(own)),
        ("read", changed, 4, BEFORE - 1),
        ("read", grown, 4, BEFORE - 1),
        ("write", grown),
        ("read", absent, None, NOTHING),
        ("read", came, None, NOTHING),
        ("read", pipe, *stamp(pipe)),
        ("read", later, *stamp(later)),
    )
    ours = {path: then for path, then in found.files.items() if path.startswith(str(tmp_path))}
    assert ours == {kept: [4, BEFORE, content(Path(kept))], absent: None, later: [4, START + 1, content(Path(later))]}
    assert [*found.problems()] == [
        f"{changed} changed while the run went on",
        f"{grown} was read and then written",
        f"{came} appeared while the run went on",
        f"{pipe} is a pipe or a device: what it holds cannot be compared",
    ]
    opened = {path: digest for path, digest in found.opened.items() if path.startswith(str(tmp_path))}
    assert opened == {kept: content(Path(kept)), own: content(Path(own)), changed: "", grown: "", pipe: ""}
    assert later in found.made
    assert made not in found.made


def test_folders_that_were_listed(tmp_path: Path) -> None:
    for name in ("same/a", "other/a", "gone/a", "packaged/a"):
        file(tmp_path / name)
    same, other, packaged = (str(tmp_path / name) for name in ("same", "other", "packaged"))
    gone = str(tmp_path / "none")
    found = sights(
        tmp_path,
        ("folder", same, names_in(same), True),
        ("folder", other, "names of then", True),
        ("folder", gone, "names of then", True),
        ("folder", packaged, names_in(packaged), False),
    )
    assert found.folders == {same: names_in(same), packaged: names_in(packaged)}
    assert [*found.problems()] == [f"the folder {other} changed while the run went on"]
    shown = {path: what for path, what in found.opened.items() if path.startswith(str(tmp_path))}
    assert shown == {f"{same}/a": LISTED, f"{other}/a": LISTED}


def test_what_was_only_looked_at(tmp_path: Path) -> None:
    sized, there, read, written = (file(tmp_path / name) for name in ("sized", "there", "read", "written"))
    new = file(tmp_path / "new", when=START)
    (tmp_path / "folder").mkdir()
    folder, none = str(tmp_path / "folder"), str(tmp_path / "none")
    found = sights(
        tmp_path,
        (LOOKED, sized, FILE),
        (SIZED, sized, "4 bytes"),
        (LOOKED, sized, FILE),
        (LOOKED, there, FILE),
        (LOOKED, none, NOTHING),
        (LOOKED, folder, FOLDER),
        ("read", read, *stamp(read)),
        (SIZED, read, "4 bytes"),
        (TIMED, read, f"{BEFORE} ns of change"),
        ("write", written),
        (SIZED, written, "4 bytes"),
        (TIMED, written, f"{BEFORE} ns of change"),
        (SIZED, new, "4 bytes"),
        (TIMED, new, f"{START} ns of change"),
        (VARIABLE, "CI", "first"),
        (VARIABLE, "CI", "second"),
        (CORES, "cpu_count", "2"),
    )
    assert found.looked == {sized: "4 bytes", there: FILE, none: NOTHING}
    assert found.times == {read: f"{BEFORE} ns of change"}
    assert (found.variables, found.cores) == ({"CI": "first"}, {"cpu_count": "2"})
    shown = {path: what for path, what in found.opened.items() if path in (sized, there, none, folder, new)}
    assert shown == {sized: content(Path(sized)), there: LISTED}
    os.utime(folder, ns=(BEFORE, BEFORE))
    again = sights(tmp_path, (LOOKED, folder, FOLDER), (TIMED, folder, times_in(folder)), (SIZED, sized, "5 bytes"))
    assert (again.looked, again.times) == ({folder: FOLDER}, {folder: times_in(folder)})


def test_what_cannot_be_seen(tmp_path: Path) -> None:
    found = sights(tmp_path, ("process", "cat"), ("host", "example.invalid"), ("beside", "dlsym"), ("many", 7))
    assert [*found.problems()] == ["it opened more than 7 files"]
    unseen = [text.partition("; ")[0] for text in found.unseen()]
    for text in ("what the program cat reads cannot be seen", "what example.invalid sends cannot be seen"):
        assert text in unseen
    assert found.opened[f"{tmp_path}{os.sep}dlsym"] == ""


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (b"torch.from_file('a')", b"torch.from_file("),
        (b"x = UntypedStorage.from_file(a, False, 8)", b"UntypedStorage.from_file("),
        (b"torch._C.PyTorchFileReader('a')", b"PyTorchFileReader("),
        (b"from torchvision.io import read_image", b"torchvision.io"),
        (b"Config.from_file('a')", None),
        (b"my_torch.from_files('a')", None),
    ],
)
def test_calls_that_open_files_unseen(source: bytes, found: bytes | None) -> None:
    match = CALLS.search(source)
    assert (None if match is None else match[0]) == found


def test_notes_that_were_cut(tmp_path: Path) -> None:
    assert [*noted(tmp_path)] == []
    (tmp_path / OPENED).write_text(
        '["read", "a", 1, 2]\n["many", 9]\n7\n["read"]\n["read", 3]\n' + "[" * 9999 + '\n["rea'
    )
    assert [*noted(tmp_path)] == [["read", "a", 1, 2], ["many", "9"]]


def test_a_file_that_was_put_back(tmp_path: Path) -> None:
    """Size and time of change can be set; the time of any change cannot. What the run has written is its own."""
    kept, put_back, own = (file(tmp_path / name) for name in ("kept", "put_back", "own"))
    found = sights(
        tmp_path,
        ("read", kept, *stamped(kept)),
        ("read", put_back, *stamp(put_back), 1),
        ("longer", own),
        ("read", own, *stamp(own), 1),
    )
    assert {kept} == {path for path in found.files if path.startswith(str(tmp_path))}
    assert [said.split(" ")[0] for said in found.problems()] == [put_back]


def test_what_is_seen_beside_content(tmp_path: Path) -> None:
    for name in ("folder/a", "folder/b", "changed/a", "moded", "own"):
        file(tmp_path / name)
    folder, changed, moded, own = (str(tmp_path / name) for name in ("folder", "changed", "moded", "own"))
    found = sights(
        tmp_path,
        (SIZES, folder, sizes_in(folder)),
        (SIZES, changed, "sizes:of then"),
        (MODE, moded, mode_of(moded)),
        (ATTRIBUTES, moded, NONE),
        ("write", own),
        (MODE, own, mode_of(own)),
    )
    assert found.beyond == {folder: [sizes_in(folder)], moded: [mode_of(moded), NONE]}
    assert {path for path in found.opened if path.startswith(str(tmp_path))} == {f"{folder}/a", f"{folder}/b"}


def test_what_the_state_of_git_may_hold(tmp_path: Path) -> None:
    """Own code may ask which commit and branch it is; text of anybody's beside that is shown to a gate."""
    commit = "0123456789" * 4
    packed = f"# pack-refs with: peeled fully-peeled sorted\n{commit} refs/heads/main\n^{commit}\n"
    states = {
        "HEAD": "ref: refs/heads/main\n",
        "ORIG_HEAD": commit,
        "refs/heads/main": f"{commit}\n",
        "packed-refs": packed,
    }
    others = {
        "config": "[score]\n\tvalue = 1.0\n",
        "logs/HEAD": f"{commit} {commit} a <b> 1 +0000\tscore 1.0\n",
        "refs/x": "1.0",
    }
    for name, text in (states | others).items():
        file(tmp_path / ".git" / name, text)
    lines = [(kind, str(tmp_path / ".git" / name)) for kind in ("aside", "asked") for name in (*states, *others)]
    shown = {path for path in sights(tmp_path, *lines).opened if path.startswith(str(tmp_path))}
    assert shown == {str(tmp_path / ".git" / name) for name in others}


def test_what_is_gone(tmp_path: Path) -> None:
    temporary, gone = Path(tempfile.gettempdir()), (None, NOTHING)
    file_there_once = str(temporary / "lvmcheck_was_here")
    assert vanished(file_there_once, gone, tmp_path)
    assert not vanished(file_there_once, (4, BEFORE), tmp_path)
    assert not vanished(file_there_once, gone, temporary)
    assert not vanished("/srv/data", gone, tmp_path)
    assert vanished("/srv/torchinductor_a/b", gone, tmp_path)
    names = ("hooks/x", "HEAD", "refs/a", "own")
    assert [no_state_of_git(f"/a/.git/{name}") for name in names] == [True, False, False, True]
    assert not no_state_of_git("/a/git/x")


def test_names_in_a_folder(tmp_path: Path) -> None:
    file(tmp_path / "one" / "a")
    for name in ("a", ".hidden", "__pycache__/a.pyc"):
        file(tmp_path / "other" / name)
    assert names_in(str(tmp_path / "one")) == names_in(str(tmp_path / "other")) != names_in(str(tmp_path))
    assert names_in(str(tmp_path / "none")) == ""
