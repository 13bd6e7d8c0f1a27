"""Every Python example of the documents runs, and every path and command they name exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lvmcheck.pytest_plugin.constants import OPTIONS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
EXAMPLES = {
    f"{page.relative_to(ROOT).as_posix()}-{number}": code
    for page in PAGES
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL), 1)
}
EACH_IN_A_PROCESS = """
import json, os, sys, traceback, torch
torch.optim.SGD([torch.zeros(1, requires_grad=True)]).step()
for name, code in json.load(sys.stdin).items():
    os.makedirs(name)
    child = os.fork()
    if not child:
        os.chdir(name)
        try:
            exec(compile(code, name, "exec"), {"__name__": "__main__"})
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(json.dumps([name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]), flush=True)
"""
"""Imports torch and what an optimizer needs once; every example has a fork, an empty folder and empty globals."""


def test_python_examples_run(tmp_path: Path) -> None:
    words = [sys.executable, "-W", "error", "-c", EACH_IN_A_PROCESS]
    ran = subprocess.run(words, cwd=tmp_path, input=json.dumps(EXAMPLES), capture_output=True, text=True, check=True)
    ended = dict(json.loads(line) for line in ran.stdout.splitlines() if line.startswith('["'))
    assert ended == dict.fromkeys(EXAMPLES, 0), ran.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"`((?:docs|suites|models|lvmcheck|fixtures|ci)/[\w./-]*)`", text)
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing
    unknown = {flag for flag in re.findall(r"--lvm-[a-z-]+[a-z]", text) if flag not in OPTIONS}
    assert not unknown
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)$", text, re.MULTILINE)) <= {
        pair for target in targets for pair in ((target, ""), ("", target))
    }


def test_the_readme_gives_a_command_and_its_output_early() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert any(line.startswith("make ") for line in lines[:15])
    assert any("PASSED" in line for line in lines[:30])
