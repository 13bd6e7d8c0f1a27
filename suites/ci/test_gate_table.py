"""Every attempt of the table is refused, for its own reason, within two seconds."""

from __future__ import annotations

import json
import os
import sys
import time

import pytest

from suites.ci.attempts import GOOD, KNOWN, Attempt, replaced
from suites.ci.attempts_around import AROUND
from suites.ci.attempts_beside import BESIDE
from suites.ci.attempts_clever import CLEVER
from suites.ci.attempts_fresh import FRESH, demands, selftest
from suites.ci.attempts_invented import INVENTED
from suites.ci.attempts_read import READ
from suites.ci.gate_kit import ROOT, Repository, scripts

pytestmark = pytest.mark.own_process  # it sets the environment
STEP = 1 if os.environ.get("LVM_GATE") == "full" else 6
ATTEMPTS = [*KNOWN[::STEP], *INVENTED[::STEP], *FRESH[::STEP], *READ[:: 3 * STEP - 2], *BESIDE[:: 6 * STEP - 5]]
ATTEMPTS += [*CLEVER, *AROUND] if STEP == 1 else CLEVER[2:3]
"""Minutes for all of them: by default every sixth, few of those that train apart; with LVM_GATE=full each."""


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_refused(repository: Repository, attempt: Attempt) -> None:
    attempt.act(repository)
    began = time.process_time()
    answer = repository.gate()
    assert answer.returncode == (2 if attempt.code == "unusable" else 1), answer.stdout + answer.stderr
    assert time.process_time() - began < 2.0
    assert f"[{attempt.code}]" in answer.stdout + answer.stderr, answer.stdout + answer.stderr


OPENS = """
import importlib.metadata, os, subprocess, tempfile, types
exec("one = 1\\ntwo = 2")
eval("float(2 + 2)")
open("declared.log").read(); open("state/meta.yaml").read(); open("settings.json").read()
with open("own.log", "w") as file: file.write("1")
open("own.log").read(); os.replace("own.log", "moved.log"); open("moved.log").read()
with tempfile.NamedTemporaryFile("w+") as file: file.write("x"); file.seek(0); open(file.name).read()
open("__pycache__/kept.nbi", "rb").read(); open(".git/HEAD").read()
subprocess.check_output(["git", "rev-parse", "HEAD"])
list(importlib.metadata.entry_points(group="nothing"))
with open(rec.path / "own.json", "w") as file: file.write("{}")
open(rec.path / "own.json").read()
try: open("absent.log")
except OSError: pass
cosine = config
"""


def test_what_a_trainer_may_open(repository: Repository) -> None:
    """Data that are declared, files that are allowed or committed, its own outputs, temporary files and caches."""
    replaced(repository.path / "gate.toml", "[[suite]]", '[gate]\nopens = ["state/*"]\n\n[[suite]]')
    (repository.path / ".gitignore").write_text(".lvmcheck/\n__pycache__/\n*.log\nstate/\n*.egg-info/\n")
    for name in ("declared.log", "state/meta.yaml", "__pycache__/kept.nbi", "x.egg-info/PKG-INFO", "settings.json"):
        (repository.path / name).parent.mkdir(exist_ok=True)
        (repository.path / name).write_text("{}")
    repository.suite(inputs=["declared.log"])
    lines = OPENS.strip().replace("\n", "\n        ")
    replaced(repository.path / "toy.py", GOOD, lines)
    repository.start_from_here()
    repository.session(apart=True)
    answer = repository.gate()
    assert answer.returncode == 0, answer.stdout
    opened = repository.report()["suites"][0]["runs"][0]["opened"]
    assert {"state/meta.yaml", "settings.json", "declared.log"} <= {*opened}
    assert not any(name.endswith(("own.log", "moved.log", ".nbi", "PKG-INFO", "own.json")) for name in opened)


def test_a_selftest_that_shows_enough_is_accepted(repository: Repository) -> None:
    demands(repository, share=0.8)
    selftest(repository, faults=[{"name": f"fault{n}", "fate": "survived" if n < 4 else "killed"} for n in range(20)])
    answer = repository.gate()
    assert answer.returncode == 0, answer.stdout


def test_the_gate_knows_every_field_of_the_schema() -> None:
    """A field that is added to the report is added to the gate, which refuses unknown ones."""
    scripts()
    shape = sys.modules["gate_shape"]
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text())
    parts = {"SuiteReport": shape.SUITE, "RunReport": shape.RUN, "CheckReport": shape.CHECK, "Verdict": shape.VERDICT}
    parts |= {"Outcome": shape.OUTCOME, "Finding": shape.FINDING, "Bound": shape.BOUND, "Tests": shape.TESTS}
    assert set(schema["properties"]) - {"digest"} == set(shape.REPORT)
    for name, fields in parts.items():
        assert set(schema["$defs"][name]["properties"]) == set(fields), name


@pytest.mark.skipif(STEP > 1, reason="the long form: LVM_GATE=full")
def test_a_trainer_may_compile_spawn_and_save(repository: Repository) -> None:
    """Kernels that torch has written, workers that are not forked, and a file that C++ wrote and Python reads."""
    lines = (
        "import torch",
        "torch.compile(lambda x: x.sin() + 1)(torch.ones(8))",
        "list(torch.utils.data.DataLoader(list(range(8)), num_workers=1, multiprocessing_context='spawn'))",
        "torch.save({'a': torch.ones(2)}, 'best.log'); torch.load('best.log')",
        GOOD,
    )
    replaced(repository.path / "toy.py", GOOD, "\n        ".join(lines))
    replaced(repository.path / "gate.toml", "seeds = 2", "seeds = 1")
    repository.suite(seeds=[0])
    repository.start_from_here()
    repository.session(apart=True)
    answer = repository.gate()
    assert answer.returncode == 0, answer.stdout
