"""Options, their defaults in ini files, and the keys under which a pytest session holds what is lvmcheck's."""

from __future__ import annotations

from typing import Any

import pytest

SUITE_FILE = "suite.toml"
SESSION: pytest.StashKey[Any] = pytest.StashKey()
"""The session's ``LvmSession``, made when its first suite file is collected."""
ENVIRONMENT: pytest.StashKey[dict[str, str]] = pytest.StashKey()
"""Environment variables when the session was configured: modules of tests set some when they are imported."""
UNNEEDED: pytest.StashKey[str | None] = pytest.StashKey()
"""Why an item's run is not trained: in a sequential suite, earlier seeds have decided the answer."""
JOBS: pytest.StashKey[list[Any]] = pytest.StashKey()
"""An item's run jobs (``RunJob``), one for each of its needs."""
OWED: pytest.StashKey[Any] = pytest.StashKey()
"""What the session owes to its suites (``Owed``)."""
WITNESS: pytest.StashKey[Any] = pytest.StashKey()
"""Where the session says how it ended (``Witness``), if a parent holds its exit status."""
CURRENT: pytest.StashKey[pytest.Item] = pytest.StashKey()
"""The item that runs, of a session."""
ANSWERS: pytest.StashKey[list[Any]] = pytest.StashKey()
"""What a Python test was answered (``Answer``), of its item, in order."""
VALUES = "lvmcheck.pytest_plugin.training.values"
"""The module of what a Python test compares."""
SLOWER: pytest.StashKey[list[Any]] = pytest.StashKey()
"""Comparisons of throughput that made the session fail, for the reports of it."""

OPTIONS: dict[str, dict[str, Any]] = {
    "--lvm-profile": {"metavar": "NAME", "help": "smoke, ci or full (default: smoke without an accelerator, else ci)"},
    "--lvm-data": {
        "metavar": "PATH",
        "help": "train on these vectors: .npz, .npy, .parquet, .jsonl, a folder, or text",
    },
    "--lvm-data-name": {"metavar": "NAME", "help": "name of --lvm-data; bounds calibrated_on that name then apply"},
    "--lvm-ood": {"metavar": "PATH", "action": "append", "help": "an out-of-distribution set; may be repeated"},
    "--lvm-seeds": {"metavar": "LIST", "help": "seeds to run instead of the suite's, such as 0,1,2"},
    "--lvm-device": {"metavar": "NAME", "help": "auto, cpu, cuda or mps"},
    "--lvm-dir": {"metavar": "PATH", "help": "folder of runs, caches and locks (default: .lvmcheck)"},
    "--lvm-fresh": {"action": "store_true", "help": "train again even where a finished run could be reused"},
    "--lvm-inprocess": {"action": "store_true", "help": "train inside the pytest process, for debuggers"},
    "--lvm-threads": {"metavar": "N", "help": "threads of each run (default: the suite's, else 1)"},
    "--lvm-ranks": {
        "metavar": "N",
        "help": "processes that train each run together, by torchrun (default: the suite's, else 1)",
    },
    "--lvm-jobs": {
        "metavar": "N",
        "help": "trainers at a time (default: cores / threads on a CPU, one on an accelerator)",
    },
    "--lvm-parallel": {
        "metavar": "HOW",
        "help": "auto schedules runs by devices, threads and memory, and gives a suite of few seeds more threads",
    },
    "--lvm-launcher": {
        "metavar": "NAME",
        "help": "where trainers run: local, submitit (SLURM; extra slurm) or ray (extra ray) (default: local)",
    },
    "--lvm-launcher-option": {
        "metavar": "NAME=VALUE",
        "action": "append",
        "help": "option of the launcher, such as address=auto or slurm_partition=gpu; may be repeated",
    },
    "--lvm-store": {
        "metavar": "URL",
        "help": "through which runs of a cluster come back whose workers do not see --lvm-dir, such as s3://bucket/runs",
    },
    "--lvm-env": {
        "metavar": "NAME",
        "action": "append",
        "help": "an environment variable that trainers see beside the usual ones; may be repeated",
    },
    "--lvm-timeout": {
        "metavar": "SECONDS",
        "help": "time without a step, an event or output after which a trainer is taken to hang (default: 1800)",
    },
    "--lvm-check-timeout": {
        "metavar": "SECONDS",
        "help": "time that a check of your own may take for one look at a run (default: 60)",
    },
    "--lvm-update-reference": {
        "metavar": "REASON",
        "help": "write the reference band of each suite whose every seed passes, with the reason for it",
    },
    "--lvm-throughput-compare": {
        "metavar": "FILE",
        "action": "append",
        "help": "fail where a benchmark is slower than in this document of --benchmark-json; may be repeated",
    },
    "--lvm-report": {"metavar": "FILE", "help": "write runs, verdicts and causes as one HTML file"},
    "--lvm-json": {"metavar": "FILE", "help": "write the report that ci/gate.py reads"},
    "--lvm-markdown": {"metavar": "FILE", "help": "write a comment for a pull request"},
    "--lvm-gitlab": {"metavar": "FILE", "help": "write GitLab's code quality report"},
    "--lvm-openmetrics": {"metavar": "FILE", "help": "write the figures as OpenMetrics text"},
    "--lvm-alert": {
        "metavar": "URL",
        "action": "append",
        "help": "send a message when the first check of a run fails and when the session ends, such as json://host/path"
        " for a webhook; may be repeated (extra alerts)",
    },
    "--lvm-progress": {"metavar": "HOW", "help": "progress of the runs: auto, live, plain or off"},
}
PROGRESS = ("auto", "live", "plain", "off")
BENCHMARKS = ("lvm_throughput_compare", "benchmark_json", "benchmark_save", "benchmark_autosave")
"""Options with which benchmarks are compared or written."""
REPORTS = ("json", "markdown", "gitlab", "openmetrics")
INI: tuple[str, ...] = (
    "--lvm-profile",
    "--lvm-device",
    "--lvm-dir",
    "--lvm-threads",
    "--lvm-jobs",
    "--lvm-parallel",
    "--lvm-launcher",
    "--lvm-store",
    "--lvm-timeout",
    "--lvm-check-timeout",
    "--lvm-progress",
)
"""Options that an ini file may set, under their names with underscores."""
