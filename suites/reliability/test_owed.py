"""A session is green only where each check of its suites was answered; what is deselected aloud is not asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lvmcheck.pytest_plugin.exit_guard import Witness, concerned, is_command
from lvmcheck.pytest_plugin.owed import of_suite
from suites.lvmcheck.plugin_kit.project import Project, floor

TAKE_OUT = "items[:] = [item for item in items if 'val_cosine@3' in item.name]"
ALOUD = f"config.hook.pytest_deselected(items=[i for i in items if 'val_cosine@3' not in i.name]); {TAKE_OUT}"
XFAIL = "[item.add_marker(pytest.mark.xfail(reason='flaky', strict=False)) for item in items]"
SKIP = "[item.add_marker(pytest.mark.skip(reason='not today')) for item in items]"
RED, GREEN = pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.OK


@pytest.mark.parametrize(
    ("act", "options", "status"),
    [
        (TAKE_OUT, (), RED),
        (ALOUD, (), GREEN),
        (XFAIL, (), RED),
        (SKIP, (), RED),
        (SKIP, ("--co",), GREEN),
        ("items.reverse()", ("-k", "epoch_1"), GREEN),
    ],
)
def test_what_is_not_answered_is_owed(
    act: str, options: tuple[str, ...], status: pytest.ExitCode, pytester: pytest.Pytester
) -> None:
    project = Project(pytester)
    project.suite(floor(1, 0.45), floor(3, 0.55), floor("final", 0.9))
    body = f"import pytest\n\ndef pytest_collection_modifyitems(config, items):\n    {act}\n"
    (project.path / "conftest.py").write_text(body)
    assert project.pytest(*options).ret == status


@pytest.mark.parametrize(
    ("node", "answer"),
    [
        ("suites/toy/suite.toml::seed0::finite", True),
        ("suite.toml::seeds::metric[a@b/c]", True),
        ("suites/toy/test_suite.toml.py::test_a", False),
        ("my_suite.toml::a", False),
    ],
)
def test_which_items_are_checks_of_a_suite(node: str, answer: bool) -> None:
    assert of_suite(node) is answer


def test_only_the_session_says_how_it_ended(tmp_path: Path) -> None:
    reads, writes = os.pipe()
    Witness(os.getpid() + 1, writes).say(0)
    os.set_blocking(reads, False)
    with pytest.raises(BlockingIOError):
        os.read(reads, 1)
    said = Witness(os.getpid(), writes)
    said.say(1)
    assert os.read(reads, 20) == b"status 1\n"
    other = tmp_path / "kept"
    with other.open("w") as file:
        os.dup2(file.fileno(), writes)  # somebody closed the pipe and opened a file
        said.say(0)
    assert other.read_bytes() == b""
    os.close(reads)
    os.close(writes)


def test_a_pytest_inside_a_pytest_is_no_command() -> None:
    assert not is_command(["--an-argument-of-another"])


@pytest.mark.parametrize(
    ("made", "arguments", "ours"),
    [
        ("src/test_x.py", [], False),
        ("suites/a/suite.toml", [], True),
        ("deep/er/and/deeper/still/suite.toml", [], False),
        (".lvmcheck/runs/x", [], True),
        ("src/test_x.py", ["--lvm-json=r.json"], True),
        (".hidden/suite.toml", [], False),
    ],
)
def test_pytest_is_one_process_where_the_plugin_is_merely_installed(
    made: str, arguments: list[str], ours: bool, tmp_path: Path
) -> None:
    (tmp_path / made).parent.mkdir(parents=True)
    (tmp_path / made).write_text("")
    assert concerned(tmp_path, arguments) is ours
    assert concerned(tmp_path, [*arguments, "-k", "a or " * 100, "a\0b"]) is ours  # no names of files
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if made.startswith("suites"):
        assert concerned(elsewhere, [tmp_path / made])
        assert concerned(elsewhere, [f"{tmp_path / 'suites' / 'a'}::seed0"])
