"""The workflows are safe for forks, pinned and linted, and what they name exists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lvmcheck.suite import load_suite
from suites.ci.gate_kit import ROOT

CI = ROOT / "ci"
GITHUB = sorted((CI / "github").glob("*.yml"))
BIN = Path(sys.executable).parent
SAME_REPOSITORY = "github.event.pull_request.head.repo.full_name == github.repository"


def workflow(path: Path) -> dict[str, Any]:
    body = YAML(typ="safe", pure=True).load(path.read_text())
    assert isinstance(body, dict)
    return body


JOBS = [
    pytest.param(path, name, job, id=f"{path.stem}-{name}")
    for path in GITHUB
    for name, job in workflow(path)["jobs"].items()
]


def lint(name: str, *args: str | Path) -> None:
    tool = shutil.which(name, path=str(BIN)) or shutil.which(name)
    if tool is None:
        pytest.skip(f"{name} is not installed: pip install -e '.[dev]'")
    done = subprocess.run([tool, *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    lint("zizmor", "--offline", "--quiet", "--persona", "auditor", *GITHUB)


def test_the_schemas_of_github_and_gitlab() -> None:
    lint("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *GITHUB)
    lint("check-jsonschema", "--builtin-schema", "custom.github-workflows-require-timeout", *GITHUB)
    gitlab = sorted((CI / "gitlab").glob("*.yml"))
    lint("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", *gitlab)


def test_actionlint_finds_nothing() -> None:
    if shutil.which("actionlint") is None:
        pytest.skip("actionlint is not installed; no package of Python brings it")
    lint("actionlint", "-shellcheck=", "-ignore", 'label "gpu" is unknown', *GITHUB)


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.stem)
def test_a_workflow_gives_nothing_by_default(path: Path) -> None:
    body = workflow(path)
    assert body["permissions"] == {}
    assert "group" in body["concurrency"]
    triggers = set(body[True] if True in body else body["on"])
    assert not triggers & {"pull_request_target", "workflow_run", "issue_comment"}
    assert not re.search(r"\$\{\{[^}]*secrets", path.read_text())


@pytest.mark.parametrize(("path", "name", "job"), JOBS)
def test_every_job_is_bounded_and_pinned(path: Path, name: str, job: dict[str, Any]) -> None:
    assert 0 < job["timeout-minutes"] <= 720
    writes = {scope for scope, right in job["permissions"].items() if right == "write"}
    assert writes <= ({"pull-requests"} if name == "comment" else set())
    for step in job["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
            assert re.search(re.escape(step["uses"]) + r" # v\d+\.\d+\.\d+\n", path.read_text())
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False
        assert "${{" not in step.get("run", ""), "what comes from an event goes through env"


@pytest.mark.parametrize("job", [pytest.param(job.values[2], id=job.id) for job in JOBS])
def test_no_code_of_a_fork_reaches_our_own_runner(job: dict[str, Any]) -> None:
    where = job["runs-on"]
    if "self-hosted" not in where:
        assert where == "ubuntu-24.04"
        return
    assert SAME_REPOSITORY in job["if"]
    assert "github.event.action == 'labeled'" in job["if"]
    assert job["concurrency"]["group"] == "lvmcheck-gpu-runner"


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.stem)
def test_a_gate_always_runs_with_what_a_pull_request_cannot_change(path: Path) -> None:
    jobs = workflow(path)["jobs"]
    gate = jobs["gate"]
    assert gate["if"] == "${{ always() }}"
    assert gate["needs"] in jobs
    (checkout,) = (step for step in gate["steps"] if "checkout" in step.get("uses", ""))
    assert checkout["with"]["ref"].startswith("${{ github.event.pull_request.base.sha || ")
    names = {step["with"]["name"] for step in gate["steps"] if "download" in step.get("uses", "")}
    uploaded = {s["with"]["name"] for s in jobs[gate["needs"]]["steps"] if "upload" in s.get("uses", "")}
    assert names <= uploaded


def test_what_the_workflows_name_exists() -> None:
    for path in (*GITHUB, *(CI / "gitlab").glob("*.yml"), CI / "README.md", ROOT / "docs" / "ci.md"):
        for name in re.findall(r"(?<![\w/.])(ci/[\w./-]+\w)", path.read_text()):
            assert (ROOT / name).exists(), f"{path.name}: {name}"


@pytest.mark.parametrize("name", ["gate.toml", "gate_cpu.toml"])
def test_the_requirements_fit_the_suites(name: str) -> None:
    for rule in tomllib.loads((CI / name).read_text())["suite"]:
        suite = load_suite(ROOT / rule["file"], profile=rule["profile"])
        assert rule["seeds"] <= len(suite.seeds)
        assert rule["checks"] <= len(suite.checks)


def test_every_suite_is_required_on_the_cpu() -> None:
    required = {rule["file"] for rule in tomllib.loads((CI / "gate_cpu.toml").read_text())["suite"]}
    assert required == {path.relative_to(ROOT).as_posix() for path in (ROOT / "suites").rglob("suite.toml")}


def planned(target: str) -> str:
    """The sessions that ``make`` would run."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    done = subprocess.run(["make", "-n", target], cwd=ROOT, env=plain, capture_output=True, text=True, check=True)
    return "\n".join(line for line in done.stdout.splitlines() if "-m pytest" in line)


def test_the_workflows_train_what_their_gate_requires() -> None:
    for path in (CI / "github" / "lvmcheck-cpu.yml", CI / "gitlab" / "lvmcheck.yml"):
        assert "make test-suites\n" in path.read_text()
    every = {path.relative_to(ROOT).as_posix() for path in (ROOT / "suites").rglob("suite.toml")}
    assert every == set(re.findall(r"suites/\S+/suite\.toml", planned("test-suites")))


def test_make_test_leaves_out_suites_that_exist_and_keeps_these() -> None:
    sessions = planned("test")
    left_out = re.findall(r"--ignore=(\S+)", sessions)
    assert all((ROOT / folder).is_dir() for folder in left_out)
    every = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "suites").rglob("suite.toml")}
    assert every == set(re.findall(r"(suites/\S+)/suite\.toml", sessions)) | (set(left_out) & every)
    kept = ["amn_790k", "cognate_answers/speed", "known_failures/oct13_memorisation_mamba2"]
    assert not {f"suites/{name}" for name in kept} & set(left_out)


def test_what_untrusted_code_prints_is_no_command(tmp_path: Path) -> None:
    """Between the two markers the runner takes no line for a command; the token is another one each time."""
    script = str(CI / "without_commands.sh")
    says = (
        "import os, sys; print('::error::x'); print(sorted(n for n in os.environ if n[:7] == 'GITHUB_')); sys.exit(3)"
    )
    out = tmp_path / "out"
    environment = {"PATH": "/usr/bin:/bin", "GITHUB_ACTIONS": "true", "GITHUB_ENV": str(out), "GITHUB_SHA": "1"}
    tokens = set()
    for _ in range(2):
        done = subprocess.run(
            [script, sys.executable, "-c", says], env=environment, capture_output=True, text=True, check=False
        )
        lines = done.stdout.splitlines()
        assert done.returncode == 3
        assert re.fullmatch(r"::stop-commands::[0-9a-f]{32}", lines[0])
        assert lines[-1] == f"::{lines[0].rpartition('::')[2]}::"
        assert "['GITHUB_SHA']" in lines
        tokens.add(lines[0])
    assert len(tokens) == 2
