"""The recipes of docs/ci.md: each accepts a sound repository and refuses a regression, and its file has a schema."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

FULL = os.environ.get("LVM_GATE") == "full"
PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8").partition("## Other systems")[2]
BLOCKS = dict(
    zip(("gitlab", "jenkins", "buildkite", "slurm"), re.findall(r"^```\w+\n(.*?)^```", PAGE, re.M | re.S), strict=False)
)
GIVEN = {
    "gitlab": {"LVMCHECK_NONCE": "12-3"},
    "jenkins": {"LVMCHECK_NONCE": "jenkins-lvmcheck-4"},
    "buildkite": {"BUILDKITE_BUILD_ID": "0193", "BUILDKITE_RETRY_COUNT": "0", "BUILDKITE_PULL_REQUEST_BASE_BRANCH": ""},
    "slurm": {"SLURM_JOB_ID": "77"},
}
"""What each system gives its jobs; none is asked to compare with another branch."""
COMMANDS: Mapping[str, Callable[[str], list[str]]] = {
    "gitlab": lambda text: re.findall(r"^    - (.+)$", text, re.M),
    "jenkins": lambda text: re.findall(r"^ +sh '(.+)'$", text, re.M),
    "buildkite": lambda text: [line.replace("$$", "$") for line in re.findall(r"^      - (.+)$", text, re.M)],
    "slurm": lambda text: [text],
}


def script(name: str) -> str:
    """The commands of a recipe, as one shell gets them, but for what installs."""
    commands = COMMANDS[name](BLOCKS[name])
    kept = [command for command in commands if "pip install" not in command]
    assert len(kept) == len(commands) - (name != "slurm")
    return "\n".join(["set -e", *kept])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Made by ``lvmcheck init --ci``, committed."""
    one = tmp_path / "theirs"
    one.mkdir()
    bare = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    init = [sys.executable, "-m", "lvmcheck.commands.main", "init", "--ci", "lvmcheck"]
    for words in (init, [*bare, "init", "-q"], [*bare, "add", "-A"], [*bare, "commit", "-qm", "a suite"]):
        subprocess.run(words, cwd=one, check=True, capture_output=True)
    return one


def ran(name: str, where: Path) -> tuple[int, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "CI", "PYTEST_", "LVM"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script(name)],
        cwd=where,
        env={**kept, **GIVEN[name], "PATH": path},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("git")), reason="the recipes are run with bash and git")
@pytest.mark.parametrize("name", BLOCKS)
def test_a_recipe_accepts_what_is_sound_and_refuses_a_regression(name: str, repository: Path) -> None:
    if not FULL:
        pytest.skip("only with LVM_GATE=full: every recipe trains twice")
    code, said = ran(name, repository)
    assert code == 0, said
    assert "accepted" in said
    suite = repository / "suites" / "example" / "suite.toml"
    suite.write_text(re.sub(r"(?m)^lr = .*$", "lr = 0.0001", suite.read_text()))
    commit = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qam", "Lower the rate"]
    subprocess.run(commit, cwd=repository, check=True)
    code, said = ran(name, repository)
    assert code != 0, said
    assert "FAILED suites/example/suite.toml" in said


def test_every_recipe_judges_and_decides() -> None:
    assert [*BLOCKS] == ["gitlab", "jenkins", "buildkite", "slurm"]
    for name in BLOCKS:
        lines = script(name)
        assert lines.index("pytest suites") < lines.index("ci/gate.py")
        assert "LVMCHECK_NONCE" in BLOCKS[name]


@pytest.mark.parametrize(
    ("name", "schema"),
    [("gitlab", ("vendor.gitlab-ci", "--data-transform", "gitlab-ci")), ("buildkite", ("vendor.buildkite",))],
)
def test_its_file_has_the_schema_of_its_system(name: str, schema: tuple[str, ...], tmp_path: Path) -> None:
    tool = shutil.which("check-jsonschema", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("check-jsonschema is not installed: pip install -e '.[dev]'")
    wrong = BLOCKS[name].replace("script:", "scripts:").replace("command:", "commando:")
    file = tmp_path / "file.yml"
    for text, good in ((BLOCKS[name], True), (wrong, False)):
        file.write_text(text)
        done = subprocess.run([tool, "--builtin-schema", *schema, file], capture_output=True, text=True)
        assert (done.returncode == 0) is good, done.stdout + done.stderr
