"""Attempts to carry a regression through the gate: each tampers with a repository that would pass, and must be refused.

Every attempt names the code of the finding that must be among the reasons. :data:`KNOWN` are those that the gate was
built against; :data:`INVENTED` (in ``attempts_invented.py``) were thought of after it was built.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suites.ci.gate_kit import REQUIRE, SUITE, Repository, seal, waiver
from suites.lvmcheck.plugin_kit.project import CHECKS, CURVE, floor

WORKFLOW = ".github/workflows/lvmcheck.yml"
GOOD, WORSE = "cosine = config", "cosine = 0.5 * config"
LAZY = """
from dataclasses import dataclass
from lvmcheck.checks.finding import Why, not_applicable
from lvmcheck.checks.protocol import Check


@dataclass(frozen=True)
class Lazy(Check):
    def judge(self, run):
        return not_applicable("nobody needs it", Why.{why})
"""


@dataclass(frozen=True)
class Attempt:
    """One way; ``code`` is that of the finding that refuses it."""

    code: str
    act: Callable[[Repository], object]

    @property
    def name(self) -> str:
        return self.act.__name__


KNOWN: list[Attempt] = []


def attempt(code: str, into: list[Attempt] = KNOWN) -> Callable[[Callable[[Repository], object]], Attempt]:
    def keep(act: Callable[[Repository], object]) -> Attempt:
        found = Attempt(code, act)
        into.append(found)
        return found

    return keep


def replaced(path: Path, old: str, new: str, count: int = -1) -> None:
    text = path.read_text()
    assert old in text, (path, old)
    path.write_text(text.replace(old, new, count))


def regressed(repo: Repository) -> None:
    """The commit under judgement has a trainer that misses its floors."""
    replaced(repo.path / "toy.py", GOOD, WORSE)
    repo.commit()


def changed(repo: Repository, before: Mapping[str, str], after: Mapping[str, str], *, worse: bool = False) -> None:
    """The commit under judgement replaces files of the base, and with ``worse`` the trainer, too."""
    repo.write(before)
    repo.start_from_here()
    repo.write(after)
    (regressed if worse else Repository.commit)(repo)
    repo.session(apart=True)


def edited(repo: Repository, edit: Callable[[dict[str, Any]], object]) -> None:
    """A passing report, changed and sealed anew."""
    repo.passing()
    body = repo.report()
    edit(body)
    repo.report_file.write_text(seal(body))


def first(body: dict[str, Any]) -> dict[str, Any]:
    return body["suites"][0]["checks"][0]  # type: ignore[no-any-return]


def outcome(body: dict[str, Any]) -> dict[str, Any]:
    return first(body)["verdict"]["outcome"]  # type: ignore[no-any-return]


# -- runs that this session did not make -----------------------------------------------------------------------------
def mended(repo: Repository) -> None:
    """A finished run of better days under the key of the commit, committed with it, its digest mended."""
    import hashlib

    folder = repo.run()
    events = folder / "events.jsonl"
    lines = (
        events.read_text()
        .replace('"val_cosine":0.25', '"val_cosine":0.5')
        .replace('"val_cosine":0.2', '"val_cosine":0.5')
    )
    events.write_text(lines)
    raw = events.read_bytes()
    done = json.loads((folder / "done.json").read_text())
    known = {key for key, value in done.items() if isinstance(value, str) and len(value) == 64}
    done.update({key: hashlib.sha256(raw).hexdigest() for key in known})
    done.update({key: len(raw) for key in ("bytes", "size") if key in done})
    (folder / "done.json").write_text(json.dumps(done))


def committed_run(repo: Repository) -> None:
    repo.suite(seeds=[0])
    replaced(repo.path / "gate.toml", "seeds = 2", "seeds = 1")
    repo.start_from_here()
    regressed(repo)
    repo.session()
    mended(repo)
    repo.git("add", "-f", ".lvmcheck/runs")
    repo.git("commit", "-q", "-m", "runs")


@attempt("check_failed")
def finished_run_committed(repo: Repository) -> None:
    committed_run(repo)
    repo.session()


@attempt("nonce_differs")
def finished_run_committed_and_session_without_nonce(repo: Repository) -> None:
    committed_run(repo)
    repo.session(nonce=None)


@attempt("nonce_differs")
def older_report_of_the_same_commit(repo: Repository) -> None:
    repo.session(nonce="another")


# -- suites that ask for less ----------------------------------------------------------------------------------------
@attempt("expectation_changed")
def expect_added(repo: Repository) -> None:
    checks = [f'{check}\n[check.expect]\noutcome = "failed"\n' if "floor =" in check else check for check in CHECKS]
    repo.suite(*checks)
    regressed(repo)
    repo.session()


@attempt("bound_loosened")
def floors_lowered(repo: Repository) -> None:
    repo.suite(*(check.replace("floor = 0.", "floor = 0.0") for check in CHECKS))
    regressed(repo)
    repo.session()


@attempt("run_changed")
def profile_shrunk(repo: Repository) -> None:
    repo.suite(extra="\n[profile.smoke]\nsteps = 5\ncurve = [0.9, 0.9, 0.9, 0.9]\n")
    repo.commit()
    repo.session()


@attempt("check_removed")
def checks_replaced(repo: Repository) -> None:
    more = [f'[[check]]\ncheck = "finite"\nname = "finite {n}"\n' for n in range(3)]
    repo.suite(*CHECKS[3:], *more)
    regressed(repo)
    repo.session()


@attempt("check_removed")
def renamed_so_that_may_not_apply_fits(repo: Repository) -> None:
    replaced(repo.path / "gate.toml", "checks = 4", 'checks = 4\nmay_not_apply = ["texts_aligned"]')
    repo.start_from_here()
    (repo.path / "lazy.py").write_text(LAZY.format(why="OTHER"))
    repo.suite('[[check]]\ncheck = "lazy:Lazy"\nname = "texts_aligned"\n', *CHECKS[1:])
    repo.commit()
    repo.session()


@attempt("check_removed")
def renamed_so_that_asks_fits(repo: Repository) -> None:
    replaced(repo.path / "gate.toml", "checks = 4", 'checks = 4\nasks = ["floor of the paper"]')
    repo.suite(floor(1, 0.45, 'name = "floor of the paper"'), *CHECKS[1:])
    repo.start_from_here()
    repo.suite(*CHECKS[1:], '[[check]]\ncheck = "finite"\nname = "floor of the paper"\n')
    repo.commit()
    repo.session()


@attempt("check_removed")
def renamed_so_that_a_waiver_fits(repo: Repository) -> None:
    (repo.path / "waivers.toml").write_text(waiver("known weak"))
    repo.suite(*CHECKS, floor(2, 0.9, 'name = "known weak"'))
    repo.start_from_here()
    repo.suite(floor(1, 0.95, 'name = "known weak"'), *CHECKS[1:], floor(2, 0.1, 'name = "other"'))
    repo.commit()
    repo.session()


@attempt("not_needed")
def answering_not_needed(repo: Repository) -> None:
    across = floor("final", 0.5, 'across = "1 of 2"', 'name = "together"')
    sequential = ("checks = 5", "checks = 5\nsequential = true")
    repo.suite(*CHECKS, across)
    replaced(repo.suite_file, *sequential)
    repo.start_from_here()
    (repo.path / "lazy.py").write_text(LAZY.format(why="NOT_NEEDED"))
    repo.suite('[[check]]\ncheck = "lazy:Lazy"\nname = "cosine_floor[val_cosine@1]"\n', *CHECKS[1:], across)
    replaced(repo.suite_file, *sequential)
    repo.commit()
    repo.session()


@attempt("rule_loosened")
def gate_file_loosened(repo: Repository) -> None:
    replaced(repo.path / "gate.toml", "seeds = 2", "seeds = 1")
    repo.suite(seeds=[0])
    repo.commit()
    repo.session()


@attempt("check_failed")
def waiver_brought_by_the_change(repo: Repository) -> None:
    text = "".join(waiver(name) for name in ("cosine_floor[val_cosine@1]", "cosine_floor[val_cosine@3]"))
    (repo.path / "waivers.toml").write_text(text + waiver("cosine_floor[val_cosine@final]"))
    regressed(repo)
    repo.session()


@attempt("judge_changed")
def source_of_a_check_changed(repo: Repository) -> None:
    strict = LAZY.format(why="OTHER").replace("not_applicable", "failed")
    (repo.path / "own.py").write_text(strict)
    repo.suite(*CHECKS, '[[check]]\ncheck = "own:Lazy"\n')
    repo.start_from_here()
    (repo.path / "own.py").write_text(LAZY.format(why="OTHER"))
    repo.commit()
    repo.passing()


# -- what was executed is not what was committed ---------------------------------------------------------------------
def hidden(repo: Repository, flag: str) -> None:
    regressed(repo)
    repo.git("update-index", flag, "toy.py")
    replaced(repo.path / "toy.py", WORSE, GOOD)
    repo.session()


@attempt("file_differs")
def assume_unchanged(repo: Repository) -> None:
    hidden(repo, "--assume-unchanged")


@attempt("file_differs")
def skip_worktree(repo: Repository) -> None:
    hidden(repo, "--skip-worktree")


@attempt("file_not_in_commit")
def ignored_module(repo: Repository) -> None:
    repo.git("rm", "-q", "--cached", "toy.py")
    (repo.path / ".gitignore").write_text((repo.path / ".gitignore").read_text() + "toy.py\n")
    repo.commit()
    repo.session()


@attempt("file_is_link")
def symbolic_link(repo: Repository) -> None:
    target = repo.path / ".lvmcheck" / "toy.py"
    target.parent.mkdir(exist_ok=True)
    target.write_text((repo.path / "toy.py").read_text())
    (repo.path / "toy.py").unlink()
    (repo.path / "toy.py").symlink_to(target)
    repo.commit()
    repo.session()


@attempt("file_in_submodule")
def submodule(repo: Repository) -> None:
    inner = repo.path / "inner"
    inner.mkdir()
    (inner / "__init__.py").write_text("")
    (inner / "toy.py").write_text((repo.path / "toy.py").read_text())
    replaced(repo.path / "mine.py", "import toy", "from inner import toy")
    repo.git("-C", str(inner), "init", "-q")
    repo.git("-C", str(inner), "add", "-A")
    repo.git("-C", str(inner), "commit", "-q", "-m", "x")
    repo.commit()
    repo.session()


# -- what stands in place of a report --------------------------------------------------------------------------------
@attempt("not_a_file")
def fifo_for_a_report(repo: Repository) -> None:
    repo.report_file.parent.mkdir(exist_ok=True)
    os.mkfifo(repo.report_file)


@attempt("not_a_file")
def endless_device_for_a_report(repo: Repository) -> None:
    repo.report_file.parent.mkdir(exist_ok=True)
    repo.report_file.symlink_to("/dev/zero")


@attempt("unusable")
def fifo_for_waivers(repo: Repository) -> None:
    repo.passing()
    place = f"{repo.path}-waivers.toml"
    os.mkfifo(place)
    repo.options = ("--waivers", place)


@attempt("unusable")
def endless_device_for_waivers(repo: Repository) -> None:
    repo.passing()
    repo.options = ("--waivers", "/dev/zero")


@attempt("not_json")
def deep_json(repo: Repository) -> None:
    repo.passing()
    repo.report_file.write_text('{"format": 4, "suites": ' + "[" * 200_000 + "]" * 200_000 + "}")


# -- reports that say what cannot be ---------------------------------------------------------------------------------
@attempt("unknown_value")
def empty_status(repo: Repository) -> None:
    edited(repo, lambda body: outcome(body).update(status=""))


@attempt("unknown_value")
def unknown_status(repo: Repository) -> None:
    edited(repo, lambda body: (outcome(body).update(status="skipped"), first(body).update(pytest="skipped")))


@attempt("unknown_field")
def unknown_field(repo: Repository) -> None:
    edited(repo, lambda body: first(body).update(waived=True))


@attempt("not_finite")
def infinite_measurement(repo: Repository) -> None:
    edited(repo, lambda body: outcome(body)["finding"].update(measured="Infinity", bounds=[]))


@attempt("bound_missed")
def beyond_its_own_bound(repo: Repository) -> None:
    edited(repo, lambda body: outcome(body)["finding"].update(measured=0.1))


@attempt("bound_not_of_suite")
def bound_that_the_suite_does_not_have(repo: Repository) -> None:
    def lower(body: dict[str, Any]) -> None:
        outcome(body)["finding"]["measured"] = 0.1
        outcome(body)["finding"]["bounds"][0]["value"] = 0.05

    edited(repo, lower)


@attempt("check_twice")
def duplicated_checks(repo: Repository) -> None:
    def again(body: dict[str, Any]) -> None:
        checks = body["suites"][0]["checks"]
        checks[1] = dict(checks[0], node=checks[0]["node"] + " ")

    edited(repo, again)


@attempt("expectation_not_of_suite")
def failure_that_nobody_expects(repo: Repository) -> None:
    def expected(body: dict[str, Any]) -> None:
        first(body)["verdict"]["expected_failure"] = True
        outcome(body)["finding"]["measured"] = 0.1

    edited(repo, expected)


__all__ = ["CURVE", "KNOWN", "REQUIRE", "SUITE", "Attempt", "attempt"]
