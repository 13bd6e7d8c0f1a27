"""What the gate says of executed and opened files and of a suite's text, beside the commit; and git itself."""

from __future__ import annotations

import hashlib
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

from suites.ci.gate_kit import SUITE
from suites.ci.trees_kit import FILES, LINK, RULES, SUBMODULE, TEXT, Files, base, finding, git, said, sha, tree

pytestmark = pytest.mark.own_process  # it changes the working directory, the environment or constants


def run(**fields: Any) -> dict[str, Any]:
    return {"seed": 0, "own": True, "status": "finished", "inputs": {}, "opened": {}, **fields}


def suite(*runs: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"file": SUITE, "profile": "smoke", "trainer": "mine:train", "runs": list(runs), **fields}


LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha('large')}\nsize 5\n"
HELD = {**FILES, "large.bin": LFS, "sub/x": "x", "link": "target"}
MODES = {"sub/x": SUBMODULE, "link": LINK}


@pytest.mark.parametrize(
    ("opened", "expected"),
    [
        ({"mine.py": sha("x")}, []),
        ({"large.bin": sha("large")}, []),
        ({"large.bin": sha(LFS)}, []),
        ({"large.bin": sha("other")}, [("opened_differs", "large.bin")]),
        ({"mine.py": ""}, [("opened_differs", "mine.py")]),
        ({"loop.log": sha("x")}, [("opened_not_in_commit", "loop.log")]),
        ({"logs/1": "", "loop.log": ""}, [("opened_not_in_commit", "loop.log")]),
        ({"declared.npz": sha("x")}, []),
        ({"link": sha("x")}, [("opened_not_in_commit", "link")]),
        ({"link/below": sha("x")}, [("opened_not_in_commit", "link/below")]),
        (None, [("opened_unknown", f"{SUITE} seed0")]),
        ({"data": "listed", "mine.py": "listed", "link": "listed", "sub/x": "listed"}, []),
        (
            {"made": "listed", "logs": "listed", "dat": "listed"},
            [("opened_not_in_commit", it) for it in ("dat", "made")],
        ),
        ({"declared.npz": "listed", "kept": "listed", "kep": "listed"}, [("opened_not_in_commit", "kep")]),
    ],
)
def test_what_was_opened(opened: dict[str, str] | None, expected: list[tuple[str, str]]) -> None:
    one = suite(run(opened=opened, inputs={"declared.npz": "d", "kept/a.npz": "d"}))
    assert said(tree.of_opened(one, RULES, Files(HELD, MODES))) == expected


def test_a_run_that_has_not_ended_need_not_say_what_it_opened() -> None:
    for changed_run, profile in ((run(opened=None, status="died"), "smoke"), (run(opened=None), "full")):
        assert said(tree.of_opened(suite(changed_run, profile=profile), RULES, Files(HELD))) == []
    stopped = suite(run(opened=None, status="stopped"))
    assert said(tree.of_opened(stopped, RULES, Files(HELD))) == [("opened_unknown", f"{SUITE} seed0")]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"mine.py": sha("x"), "elsewhere.npz": "d"}, []),
        ({"mine.py": sha("y")}, [("file_differs", "mine.py")]),
        ({"large.bin": sha("large")}, []),
        ({"link": "d"}, [("file_is_link", "link")]),
        ({"sub/x": "d"}, [("file_in_submodule", "sub/x")]),
    ],
)
def test_declared_data(inputs: dict[str, str], expected: list[tuple[str, str]]) -> None:
    assert said(tree.of_inputs(inputs, Files(HELD, MODES))) == expected


def test_data_that_the_base_branch_has_otherwise() -> None:
    reports = [
        {"suites": [suite(run(inputs={"data/a.json": "", "new": ""})), suite(run(inputs={"own.py": ""}), profile="ci")]}
    ]
    after = {**FILES, "data/a.json": "2", "own.py": "x", "new": "n"}
    changed = [("data_changed", "data/a.json"), ("data_changed", "new")]
    assert said(base.of_data(reports, Files(FILES), Files(after), RULES)) == changed
    opened = run(opened={"data/a.json": "", "own.py": "", "gone": ""})
    judged = [{"files": [{"path": "own.py", "blob": ""}], "suites": [suite(opened)]}]
    assert said(base.of_data(judged, Files(FILES), Files(after), RULES)) == changed[:1]
    assert said(base.of_data(judged, Files({**FILES, SUITE: ""}), Files(after), RULES)) == changed[:1]
    assert said(base.of_data(judged, Files({"own.py": ""}), Files(after), RULES)) == []  # a suite that is new
    assert said(base.of_data(reports, Files(FILES), Files(FILES), RULES)) == []
    free = {"suite": [{**RULES["suite"][0], "free": ["inputs"]}]}
    assert said(base.of_data(reports, Files(FILES), Files(after), free)) == []


BLOBS = {path: blob for path, (_, blob) in Files(HELD).entries.items()}
LISTED = [{"path": SUITE, "blob": BLOBS[SUITE]}, {"path": "mine.py", "blob": BLOBS["mine.py"]}]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (LISTED, []),
        (LISTED[:1], [("file_missing", "mine.py")]),
        (LISTED[1:], [("file_missing", SUITE)]),
        ([*LISTED, {"path": "mine.py", "blob": "0"}], [("file_differs", "mine.py"), ("file_differs", "mine.py")]),
        ([*LISTED, {"path": "own.py", "blob": ""}], [("file_differs", "own.py")]),
        ([*LISTED, {"path": "theirs.py", "blob": "1"}], [("file_not_in_commit", "theirs.py")]),
        ([*LISTED, {"path": "/away.py", "blob": "1"}], [("file_outside", "/away.py")]),
        ([*LISTED, {"path": "a/../../away.py", "blob": "1"}], [("file_outside", "a/../../away.py")]),
        ([*LISTED, {"path": "link/away.py", "blob": "1"}], [("file_is_link", "link/away.py")]),
        ([*LISTED, {"path": "sub/x", "blob": "1"}], [("file_in_submodule", "sub/x")]),
    ],
)
def test_what_was_executed(files: list[dict[str, str]], expected: list[tuple[str, str]]) -> None:
    assert said(tree.of_files({"files": files, "suites": [suite(run())]}, Files(HELD, MODES))) == expected


def test_a_trainer_that_was_not_executed_here_need_not_be_listed() -> None:
    own, installed = suite(run(own=False)), suite(run(), trainer="installed.package:train")
    for one in (own, installed):
        assert said(tree.of_files({"files": LISTED[:1], "suites": [one]}, Files(HELD))) == []
    package = Files({**HELD, "far/mine/__init__.py": ""})
    again = suite(run(), run(inputs={"link": ""}), trainer="far.mine:train")
    report = {"files": LISTED[:1], "suites": [again]}
    assert said(tree.of_files(report, package)) == [("file_missing", "far/mine.py"), ("file_differs", "link")]
    linked = Files({**HELD, "far/mine/__init__.py": ""}, MODES)
    assert ("file_is_link", "link") in said(tree.of_files(report, linked))


def verdict(line: int | None, check: str, seed: int | str = 0, **fields: Any) -> dict[str, Any]:
    outcome = {"status": "passed", "finding": None, **fields.pop("outcome", {})}
    asked = None if line is None else {"line": line}
    body = {"seed": seed, "check": check, "asked": asked, "expected_failure": False, "outcome": outcome, **fields}
    return {"node": f"{seed}:{check}", "verdict": body}


def bounds(measured: Any, *pairs: tuple[str, float], epoch: int | None = 1, status: str = "passed") -> dict[str, Any]:
    listed = [{"kind": kind, "value": value} for kind, value in pairs]
    return {"status": status, "finding": {"measured": measured, "bounds": listed, "epoch": epoch}}


FLOOR = bounds(0.6, ("floor", 0.5))
LINES = [number for number, line in enumerate(TEXT.splitlines(), 1) if line == "[[check]]"]
CHECKED = [
    verdict(LINES[0], "cosine_floor", outcome=FLOOR),
    verdict(LINES[1], "metric", outcome=bounds(1.0, ("ceiling", 2.0), epoch=2)),
    verdict(LINES[2], "finite"),
]


def judged(*checks: dict[str, Any], text: str = TEXT, **fields: Any) -> list[str]:
    one = suite(checks=list(checks), seeds=[0], overridden=["seeds"], digest=sha(text), **fields)
    return [reason.code for reason in tree.of_suite_text(one, Files({**FILES, SUITE: text}))]


def test_the_text_of_a_suite() -> None:
    assert judged(*CHECKED) == []
    assert judged(*CHECKED[:2]) == ["check_not_of_suite"]
    assert judged(*CHECKED, verdict(LINES[2], "finite", "seeds")) == ["check_not_of_suite"]
    other = suite(checks=CHECKED, seeds=[0], overridden=["seeds"], digest="0")
    assert said(tree.of_suite_text(other, Files(FILES))) == [("suite_differs", SUITE)]
    assert said(tree.of_suite_text(other, Files({}))) == [("suite_unreadable", SUITE)]
    assert judged(*CHECKED, text=TEXT.replace("seeds = [0, 1]", "seeds = [0]")) == []
    asked = suite(checks=CHECKED, seeds=[0], overridden=[], digest=sha(TEXT))
    assert said(tree.of_suite_text(asked, Files(FILES))) == [("suite_differs", f"{SUITE}: seeds")]
    together = TEXT.replace('check = "finite"', 'check = "finite"\nacross = "all"')
    assert judged(*CHECKED[:2], verdict(LINES[2], "finite", "seeds"), text=together) == []


@pytest.mark.parametrize(
    ("place", "instead", "expected"),
    [
        (2, verdict(3, "finite"), ["check_not_of_suite"]),
        (2, verdict(None, "finite"), ["check_not_of_suite"]),
        (2, verdict(LINES[2], "improves"), ["check_not_of_suite"]),
        (2, verdict(LINES[2], "finite", expected_failure=True), ["expectation_not_of_suite"]),
        (0, verdict(LINES[0], "cosine_floor", outcome=bounds(0.6, ("floor", 0.4))), ["bound_not_of_suite"]),
        (0, verdict(LINES[0], "cosine_floor", outcome=bounds(0.6)), ["bound_not_of_suite"]),
        (0, verdict(LINES[0], "cosine_floor", outcome=bounds(0.6, ("floor", 0.5), epoch=2)), ["epoch_not_of_suite"]),
        (0, verdict(LINES[0], "cosine_floor", outcome=bounds(0.6, ("floor", 0.5), epoch=None)), []),
        (0, verdict(LINES[0], "cosine_floor", outcome=bounds(0.4, ("floor", 0.5), status="warning")), ["bound_missed"]),
        (0, verdict(LINES[0], "cosine_floor", outcome=bounds(0.6, ("floor", 0.5), status="warning")), []),
        (0, verdict(LINES[0], "cosine_floor", outcome=bounds(0.4, status="failed")), []),
        (0, verdict(LINES[0], "cosine_floor"), ["bound_not_of_suite"]),
        (1, verdict(LINES[1], "metric", outcome=bounds(3.0, ("ceiling", 3.0))), ["bound_not_of_suite"]),
    ],
)
def test_a_verdict_beside_its_entry(place: int, instead: dict[str, Any], expected: list[str]) -> None:
    checks = [instead if n == place else one for n, one in enumerate(CHECKED)]
    assert judged(*checks) == expected


def test_entries_that_cannot_be_found_by_their_line() -> None:
    inline = TEXT[: TEXT.index("[[check]]")].replace("[suite]", 'check = [{check = "finite"}]\n[suite]')
    assert judged(verdict(1, "improves"), text=inline) == []
    own = TEXT.replace('check = "finite"', 'check = "own:Check"')
    assert judged(*CHECKED[:2], verdict(LINES[2], "own"), text=own) == []
    assert tree.entries({"check": "x"}, "smoke") == []
    assert tree.entries({"check": [1, {"check": "finite"}]}, "smoke") == [{"check": "finite"}]


# -- git itself --------------------------------------------------------------------------------------------------------
@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A commit of some files in a repository of its own."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"a.txt": "a\n", "folder/b.txt": "b" * 3000, "empty": "", "large.bin": LFS}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "link").symlink_to("a.txt")
    who = ["-c", "user.name=a", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run(["git", *who, *words], check=True, cwd=tmp_path)
    found = git.resolved("HEAD")
    assert isinstance(found, str)
    return found


def test_what_a_commit_holds(commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = git.Tree(commit)
    assert {*held.entries} == {"a.txt", "folder/b.txt", "empty", "large.bin", "link"}
    assert (held.read("a.txt"), held.read("link"), held.read("none")) == (b"a\n", None, None)
    assert (held.sha256("a.txt"), held.sha256("none")) == (sha("a\n"), None)
    assert (held.in_the_way("link"), held.in_the_way("link/x"), held.in_the_way("a.txt")) == (LINK, LINK, None)
    assert (held.target("link"), held.target("a.txt"), held.target("none")) == ("a.txt", "", "")
    assert (held.folders, held.holds("folder"), held.holds("a.txt"), held.holds("fold")) == (
        {"folder"},
        True,
        True,
        False,
    )
    digests = held.digests(["a.txt", "folder/b.txt", "empty", "large.bin", "link", "none"])
    assert digests == {
        "a.txt": (sha("a\n"),),
        "folder/b.txt": (sha("b" * 3000),),
        "empty": (sha(""),),
        "large.bin": (sha(LFS), sha("large")),
    }
    assert held.digests([]) == {}
    monkeypatch.setattr(git, "MAX_BLOB", 3000)
    assert held.digests(["a.txt", "folder/b.txt"])["folder/b.txt"] == (sha("b" * 3000),)
    monkeypatch.setattr(git, "MAX_BLOB", 2999)
    assert held.read("folder/b.txt") is None
    assert held.digests(["a.txt", "folder/b.txt"]) == {"a.txt": (sha("a\n"),), "folder/b.txt": ("too large",)}
    assert git.resolved("nowhere") is None
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("GIT_DIR", "/nowhere")
        assert git.resolved("HEAD") == commit
    with pytest.raises(finding.Unusable):
        git.Tree("0" * 40)
    assert git.tracked_path(Path("folder/../a.txt")) == "a.txt"
    assert git.tracked_path(tmp_path.parent / "x") is None
    assert git.tracked_path(Path("link")) == "link"
    monkeypatch.chdir("/")
    assert git.tracked_path(Path("a.txt")) is None


@pytest.mark.parametrize("kind", ["commit", "tree", "tree below", "blob", "blob among others", "link"])
def test_an_object_that_was_forged(commit: str, tmp_path: Path, kind: str) -> None:
    """git shows what stands in the file of an object; the gate asks whether that is what its name says."""
    held = git.Tree(commit)
    names = {"commit": "HEAD", "tree": "HEAD^{tree}", "tree below": "HEAD:folder", "link": "HEAD:link"}
    name = (git.git("rev-parse", names.get(kind, "HEAD:a.txt")) or b"").decode().strip()
    real = kind.replace("link", "blob").split()[0]
    content = git.git("cat-file", real, name) or b""
    content = content.replace(b"b.txt", b"c.txt").replace(b"a.txt", b"b.txt") if real == "tree" else content + b"\n"
    file = tmp_path / ".git" / "objects" / name[:2] / name[2:]
    file.chmod(0o644)
    file.write_bytes(zlib.compress(b"%s %d\0" % (real.encode(), len(content)) + content))
    with pytest.raises(finding.Unusable, match=commit if kind == "tree" else name):  # git itself proves that one
        {
            "blob": lambda: held.read("a.txt"),
            "blob among others": lambda: held.digests(["a.txt"]),
            "link": lambda: held.target("link"),
        }.get(kind, lambda: git.Tree(commit))()


def test_names_of_objects() -> None:
    raw = b"what is in it"
    for make in (hashlib.sha1, hashlib.sha256):
        name = make(b"blob 13\0" + raw, usedforsecurity=False).hexdigest()
        assert git.is_named_so(name, "blob", raw)
        assert not git.is_named_so(name, "tree", raw)
        assert not git.is_named_so(name, "blob", raw + b".")
