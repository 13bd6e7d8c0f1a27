"""Do the tests notice? Small faults in each module that decides verdicts, and the branches that its tests take.

    python -m suites.reliability.kernel mutants [--most 40] [WORD]     # the modules whose names hold WORD
    python -m suites.reliability.kernel coverage [WORD]

Both run for each module the tests of :data:`KERNEL` alone, so a fault that only another test notices counts as missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from suites.own_process import REPORTS

ROOT = Path(__file__).parents[2]
EDITS = "suites/ci/test_gate_edits.py"
TREES = "suites/ci/test_gate_trees.py suites/ci/test_gate_commit.py"
CORE = "suites/lvmcheck/test_core_"
JUDGED = "suites/reliability/test_one_answer.py suites/reliability/test_sealed.py"
CHECKS = "suites/reliability/test_oracle.py suites/reliability/test_judging.py suites/lvmcheck/test_checks_edges.py"
ASKED = "suites/ci/test_gate_asked.py"
ANSWERS = "suites/reliability/test_answers.py"
SIGHTS = "suites/reliability/test_sights.py suites/reliability/test_opened.py"
KERNEL = {
    "ci/gate.py": f"{ASKED} {EDITS}",
    "ci/gate_base.py": TREES,
    "ci/gate_files.py": f"{ASKED} {EDITS}",
    "ci/gate_git.py": f"{TREES} {ASKED}",
    "ci/gate_report.py": f"{EDITS} suites/ci/test_gate_runs.py",
    "ci/gate_selftest.py": "suites/ci/test_gate_selftest.py suites/ci/test_gate_sign.py",
    "ci/gate_sign.py": "suites/ci/test_gate_sign.py",
    "ci/gate_shape.py": "suites/ci/test_gate_shape.py",
    "ci/gate_source.py": TREES,
    "ci/gate_tree.py": TREES,
    "lvmcheck/checks/bounds.py": ANSWERS,
    "lvmcheck/checks/finding.py": ANSWERS,
    "lvmcheck/checks/protocol.py": ANSWERS,
    "lvmcheck/launch/answers.py": f"{JUDGED} {CHECKS}",
    "lvmcheck/launch/environment.py": "suites/reliability/test_nothing_stale.py",
    "lvmcheck/launch/executed.py": "suites/reliability/test_opened.py",
    "lvmcheck/launch/existing_run.py": "suites/reliability/test_sealed.py suites/lvmcheck/test_launch_reuse.py",
    "lvmcheck/launch/inputs.py": "suites/reliability/test_nothing_stale.py suites/reliability/test_opened.py",
    "lvmcheck/launch/key.py": "suites/lvmcheck/test_launch_source.py suites/lvmcheck/test_launch_reuse.py",
    "lvmcheck/launch/looks.py": "suites/reliability/test_looks.py",
    "lvmcheck/launch/hosts.py": "suites/reliability/test_looks.py",
    "lvmcheck/launch/opened.py": f"{SIGHTS} suites/reliability/test_looks.py",
    "lvmcheck/launch/sights.py": SIGHTS,
    "lvmcheck/launch/sought.py": "suites/reliability/test_looks.py",
    "lvmcheck/launch/texts.py": "suites/reliability/test_opened.py",
    "lvmcheck/run/alike.py": "suites/lvmcheck/test_plugin_equal_seeds.py -k 'runs_that or begin_with or beginning'",
    "lvmcheck/run/directory.py": f"{CORE}rundir.py {JUDGED}",
    "lvmcheck/run/event_lines.py": f"{CORE}events.py {CORE}rundir.py {JUDGED}",
    "lvmcheck/run/events.py": f"{CORE}events.py {CORE}recorder.py {JUDGED}",
    "lvmcheck/run/recorder.py": f"{CORE}reported.py {CORE}recorder.py {CORE}rundir.py",
    "lvmcheck/run/seal.py": JUDGED,
    "lvmcheck/run/statements.py": "suites/reliability/test_said.py",
    "lvmcheck/run/values.py": "suites/reliability/test_said.py",
    "lvmcheck/run/view.py": f"{CORE}events.py {CORE}rundir.py {JUDGED}",
    "lvmcheck/run/window.py": f"{CORE}window.py",
}
"""Module -> the quick tests that must notice a fault in it."""


def mutants(word: str, most: int) -> None:
    for file, tests in KERNEL.items():
        if word in file:
            name = Path(file).stem if file.startswith("ci/") else file.removesuffix(".py").replace("/", ".")
            command = [sys.executable, "ci/mutate.py", name, file, "--most", str(most), "--limit", "60", "--"]
            subprocess.run([*command, *_words(tests)], cwd=ROOT, env={**os.environ, REPORTS: os.devnull}, check=False)


def coverage(word: str) -> None:
    """Branch coverage of all of them under all of these tests, in this process and its children."""
    chosen = {file: tests for file, tests in KERNEL.items() if word in file}
    tests = list(dict.fromkeys(one for words in chosen.values() for one in _words(words) if one.endswith(".py")))
    front, options = [sys.executable, "-m", "coverage"], ["--branch", f"--include={','.join(chosen)}"]
    subprocess.run(
        [*front, "run", *options, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env={**os.environ, REPORTS: os.devnull},
        check=False,
    )
    subprocess.run([*front, "report", "--show-missing"], cwd=ROOT, check=False)


def _words(tests: str) -> list[str]:
    import shlex

    return shlex.split(tests)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m suites.reliability.kernel", description=__doc__)
    parser.add_argument("what", choices=("mutants", "coverage"))
    parser.add_argument("word", nargs="?", default="", help="only modules whose path holds it")
    parser.add_argument("--most", type=int, default=10_000, metavar="N", help="mutants of a module, drawn by chance")
    options = parser.parse_intermixed_args()
    if options.what == "mutants":
        mutants(options.word, options.most)
    else:
        coverage(options.word)


if __name__ == "__main__":
    main()
