"""Attempts to fool the gate in real sessions of a real repository: each is refused, for its own reason."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from suites.ci.gate_kit import Repository, ask
from suites.lvmcheck.plugin_kit.project import CHECKS, floor

pytestmark = pytest.mark.own_process  # it sets the environment


def conftest(repository: Repository, body: str) -> None:
    (repository.path / "conftest.py").write_text(f"import os\nimport subprocess\nimport pytest\n\n{body}")
    repository.commit()


def empty_suite(repository: Repository) -> None:
    repository.suite_file.write_text('[suite]\nabout = "nothing"\nchecks = 0\n\n[run]\ntrainer = "mine:train"\n')
    repository.commit()
    repository.session()


def truncated_suite(repository: Repository) -> None:
    repository.suite(CHECKS[0])
    repository.commit()
    repository.session()


def fewer_seeds(repository: Repository) -> None:
    repository.suite(seeds=[0])
    repository.commit()
    repository.session()


def seeds_of_the_command_line(repository: Repository) -> None:
    repository.session("--lvm-seeds", "0,1")


def other_profile(repository: Repository) -> None:
    repository.session("--lvm-profile", "ci")


def deselected(repository: Repository) -> None:
    repository.session("-k", "finite")


def one_check_by_name(repository: Repository) -> None:
    repository.session("suites/toy/suite.toml::seed0::finite", "suites/toy/suite.toml::seed1::finite")


def nothing_collected(repository: Repository) -> None:
    (repository.path / "empty").mkdir()
    repository.session("empty")


def only_collected(repository: Repository) -> None:
    repository.session("--co")


def all_skipped(repository: Repository) -> None:
    marks = "        item.add_marker(pytest.mark.skip(reason='not today'))\n"
    conftest(repository, f"def pytest_collection_modifyitems(items):\n    for item in items:\n{marks}")
    repository.session()


def failure_expected_by_a_marker(repository: Repository) -> None:
    repository.suite(*CHECKS[1:], floor(1, 0.9))
    marks = "        item.add_marker(pytest.mark.xfail(reason='flaky'))\n"
    conftest(repository, f"def pytest_collection_modifyitems(items):\n    for item in items:\n{marks}")
    assert repository.session().ret == 1


def outcome_rewritten(repository: Repository) -> None:
    repository.suite(*CHECKS[1:], floor(1, 0.9))
    body = "    report = yield\n    report.outcome = 'passed'\n    return report\n"
    conftest(repository, f"@pytest.hookimpl(wrapper=True)\ndef pytest_runtest_makereport(item):\n{body}")
    assert repository.session().ret == 1


def items_dropped(repository: Repository) -> None:
    repository.suite(*CHECKS, floor("final", 0.9, 'name = "too high"'))
    conftest(repository, "def pytest_collection_modifyitems(items):\n    del items[4:]\n")
    assert repository.session().ret == 1


def exits_before_the_end(repository: Repository) -> None:
    repository.session()
    conftest(repository, "def pytest_runtest_teardown(item):\n    os._exit(0)\n")
    assert repository.session(inside=False).ret == 1


def interrupted(repository: Repository) -> None:
    conftest(repository, "def pytest_runtest_teardown(item):\n    raise KeyboardInterrupt\n")
    repository.session(inside=False)


def earlier_commit(repository: Repository) -> None:
    repository.session()
    repository.commit()


def uncommitted_change(repository: Repository) -> None:
    (repository.path / "mine.py").write_text((repository.path / "mine.py").read_text() + "\n# better\n")
    repository.session()


def committed_while_it_ran(repository: Repository) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.invalid", "commit", "-q", "--allow-empty", "-m", "x"]
    conftest(repository, f"def pytest_runtestloop(session):\n    subprocess.run({git!r}, check=True)\n")
    repository.session()


def another_device(repository: Repository) -> None:
    trainer = repository.path / "mine.py"
    trainer.write_text(trainer.read_text().replace('config.get("device", "cpu")', '"mps"'))
    repository.commit()
    assert repository.session().ret == 0


def device_not_said(repository: Repository) -> None:
    (repository.path / "mine.py").write_text("from toy import train\n")
    repository.commit()
    assert repository.session().ret == 0


def a_test_fails_beside_it(repository: Repository) -> None:
    (repository.path / "test_other.py").write_text("def test_other():\n    assert 0\n")
    repository.commit()
    repository.session()


def a_file_does_not_import(repository: Repository) -> None:
    (repository.path / "test_other.py").write_text("import nowhere_at_all\n")
    repository.commit()
    repository.session()


def no_repository(repository: Repository) -> None:
    (repository.path / ".git").rename(repository.path / ".lvmcheck-git")
    (repository.path / ".git").write_text("gitdir: nowhere\n")
    repository.session()
    (repository.path / ".git").unlink()
    (repository.path / ".lvmcheck-git").rename(repository.path / ".git")


def trainer_dies(repository: Repository) -> None:
    repository.suite(die="exit_0")
    repository.commit()
    repository.session(apart=True)


ATTEMPTS: dict[Callable[[Repository], None], tuple[str, ...]] = {
    empty_suite: ("failed in collection", "no report has it"),
    truncated_suite: ("1 checks, at least 4 are required",),
    fewer_seeds: ("1 seeds, at least 2 are required",),
    seeds_of_the_command_line: ("the command line replaced seeds",),
    other_profile: ("no report has it at profile smoke, only ci",),
    deselected: ("6 tests were deselected", "cosine_floor[val_cosine@1]: not run (deselected)"),
    one_check_by_name: ("cosine_floor[val_cosine@1]: not run (deselected)",),
    nothing_collected: ("'no tests' (exit status 5)", "0 tests collected", "no suite in the report"),
    only_collected: ("0 passed: nothing was shown", "not run"),
    all_skipped: ("0 passed", "not today"),
    failure_expected_by_a_marker: ("cosine_floor[val_cosine@1]: failed: val cosine",),
    outcome_rewritten: ("cosine_floor[val_cosine@1]: failed: val cosine",),
    items_dropped: ("seed0::too high: not run (deselected)", "seed1::finite: not run (deselected)"),
    exits_before_the_end: ("the session did not finish",),
    interrupted: ("'interrupted' (exit status 2)", "not run"),
    earlier_commit: ("the report is for commit",),
    uncommitted_change: ("not committed: mine.py",),
    committed_while_it_ran: ("the report is for commit",),
    another_device: ("trained on mps, required is cpu",),
    device_not_said: ("records no device",),
    a_test_fails_beside_it: ("test_other.py::test_other: failed in call",),
    a_file_does_not_import: ("test_other.py: failed in collection",),
    no_repository: ("the report names no commit",),
    trainer_dies: ("run died after epoch 1 of 4",),
}


def test_a_healthy_session_is_accepted(repository: Repository) -> None:
    repository.session(apart=True)
    first = repository.gate()
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith("accepted: ")
    assert "1 required suites, 8 checks" in first.stdout
    repository.session()  # the same commit again, its runs reused: their digests match
    assert {run["own"] for run in repository.report()["suites"][0]["runs"]} == {False}
    repository.refuses("[not_own_run]")
    allowed = (repository.path / "gate.toml").read_text() + "fresh = false\n"
    place = repository.path / ".lvmcheck" / "gate.toml"  # on no branch
    place.write_text(allowed)
    answer = ask(repository.report_file, "--require", place, cwd=repository.path)
    assert answer.returncode == 0, answer.stdout


STEP = 1 if os.environ.get("LVM_GATE") == "full" else 2
"""Each attempt is a session that trains: by default every second, with LVM_GATE=full all of them."""


@pytest.mark.parametrize("attempt", [*ATTEMPTS][::STEP], ids=lambda attempt: attempt.__name__)
def test_refused(repository: Repository, attempt: Callable[[Repository], None]) -> None:
    attempt(repository)
    repository.refuses(*ATTEMPTS[attempt])


def test_a_run_of_another_configuration_is_not_reused(repository: Repository) -> None:
    """The directory of a better run in place of the one that this commit wants: it is trained anew."""
    repository.suite(curve=[0.6, 0.7, 0.8, 0.9])
    repository.commit()
    repository.session()
    better = {path.name[: len("smoke-seed0")]: path for path in repository.runs().values()}
    repository.suite(curve=[0.3, 0.3, 0.3, 0.3])
    repository.commit()
    repository.session()
    for path in repository.runs().values():
        source = better[path.name[: len("smoke-seed0")]]
        if path != source:
            shutil.rmtree(path)
            shutil.copytree(source, path)
    repository.session()
    assert {run["own"] for run in repository.report()["suites"][0]["runs"]} == {True}
    repository.refuses("cosine_floor[val_cosine@1]: failed: val cosine 0.3")


def test_without_a_report(repository: Repository, tmp_path: Path) -> None:
    answer = repository.gate(reports=[tmp_path / "nowhere.json"])
    assert isinstance(answer, subprocess.CompletedProcess)
    assert answer.returncode == 1
    assert "no report: No such file" in answer.stdout
