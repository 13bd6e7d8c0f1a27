"""Bad input through pytest: one clear line that names the place and the nearest valid name; never a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suites.lvmcheck.plugin_kit.project import CHECKS, Project, floor

COLLECT = pytest.ExitCode.INTERRUPTED  # an error during collection
USAGE = pytest.ExitCode.USAGE_ERROR


def said(result: pytest.RunResult) -> str:
    """Everything printed, after the checks that hold for any mistake."""
    text = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    return text


OPTIONS = {
    "seeds": (("--lvm-seeds", "one"), "--lvm-seeds: expected distinct integers such as 0,1,2, got 'one'."),
    "seeds twice": (("--lvm-seeds", "1,1"), "--lvm-seeds: expected distinct integers such as 0,1,2, got '1,1'."),
    "seeds of another alphabet": (
        ("--lvm-seeds", "²"),
        "--lvm-seeds: expected distinct integers such as 0,1,2, got '²'.",
    ),
    "jobs": (("--lvm-jobs", "-1"), "--lvm-jobs: expected an integer >= 0, got -1."),
    "threads": (("--lvm-threads", "-1"), "--lvm-threads: expected an integer >= 0, got -1."),
    "too many threads": (("--lvm-threads", "9999"), "cores of this machine, got 9999."),
    "device": (("--lvm-device", "cudo"), "--lvm-device: no device 'cudo'. Did you mean 'cuda'?"),
    "profile": (("--lvm-profile", "smok"), "suites/toy/suite.toml: no profile 'smok'. Did you mean 'smoke'?"),
    "no data": (("--lvm-data", ""), "--lvm-data: expected a value, got nothing."),
    "no directory": (("--lvm-dir", ""), "--lvm-dir: expected a value, got nothing."),
    "ood alone": (
        ("--lvm-ood", "x.npz"),
        "--lvm-ood: expected --lvm-data PATH beside it. It says more about that path.",
    ),
    "name alone": (("--lvm-data-name", "x"), "--lvm-data-name: expected --lvm-data PATH beside it."),
}


@pytest.mark.parametrize("mistake", OPTIONS)
def test_an_option_that_makes_no_sense(project: Project, mistake: str) -> None:
    args, message = OPTIONS[mistake]
    result = project.pytest(*args)
    assert result.ret == (COLLECT if mistake == "profile" else USAGE)  # a profile is one of a suite
    assert message in said(result)
    assert ("ERROR collecting" in said(result)) == (mistake == "profile")
    assert not project.runs()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lvm_jobs = many", "--lvm-jobs: expected an integer >= 0, got many."),
        ("lvm_device = gpu", "--lvm-device: no device 'gpu'. Did you mean 'cpu'?"),
        ("lvm_progress = loud", "--lvm-progress: no way to show progress 'loud'. Known: auto, live, off, plain."),
    ],
)
def test_an_ini_setting_that_makes_no_sense(project: Project, setting: str, message: str) -> None:
    with (project.path / "pytest.ini").open("a") as file:
        file.write(f"{setting}\n")
    result = project.pytest()
    assert result.ret == USAGE
    assert message in said(result)


SUITES: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "unknown check": (("[[check]]\ncheck = 'cosine_flor'\n",), {}, "no such check. Did you mean 'cosine_floor'?"),
    "unknown key of a check": ((floor(1, 0.4, "flor = 1"),), {}, "unknown key. Did you mean 'floor'?"),
    "floor above 1": ((floor(1, 1.5),), {}, "floor: expected -1 to 1, got 1.5"),
    "floor below -1": ((floor(1, -1.5),), {}, "floor: expected -1 to 1, got -1.5"),
    "more checks promised": (CHECKS, {"declared": 5}, "declares 5 checks, the file has 4 (truncated?)."),
    "no check": (("",), {"declared": 0}, "expected at least 1, got 0: a suite without checks proves nothing."),
    "not TOML": (("[[check]\n",), {}, "not TOML at column"),
    "no such trainer": (CHECKS, {"trainer": "toi:train"}, "trainer 'toi:train': no module 'toi'."),
    "no seeds": (CHECKS, {"seeds": []}, "run.seeds: "),
    "unreached epoch": ((floor(9, 0.4),), {}, "epoch 9"),
}


@pytest.mark.parametrize("mistake", SUITES)
def test_a_suite_file_that_makes_no_sense(project: Project, mistake: str) -> None:
    checks, changes, message = SUITES[mistake]
    project.suite(*checks, **changes)
    result = project.pytest()
    assert result.ret == COLLECT
    text = said(result)
    assert message in text
    (line,) = (line for line in text.splitlines() if message in line)
    assert line.startswith("suites/toy/suite.toml:")
    assert not project.runs()


@pytest.mark.parametrize("key", ["threads", "window"])
@pytest.mark.parametrize("value", [0, "two"])
def test_a_setting_of_the_launcher_that_no_schema_checked(project: Project, key: str, value: object) -> None:
    setting: dict[str, Any] = {key: value}
    project.suite(**setting)
    result = project.pytest()
    result.assert_outcomes(failed=4)
    assert f"{key}: expected an integer >= 1, got {value!r}." in said(result)


def test_a_metric_that_the_run_never_logs(project: Project) -> None:
    project.suite(floor(1, 0.4), floor(1, 0.4, metric="val_cosin"))
    result = project.pytest()
    result.assert_outcomes(passed=1, failed=1)
    assert "metric 'val_cosin' is not recorded; recorded: train_cosine, val_cosine. Did you mean 'val_cosine'?" in said(
        result
    )


def test_a_check_that_crashes_is_an_error_of_its_item_alone(project: Project) -> None:
    (project.path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom lvmcheck import Check\n\n\n@dataclass(frozen=True, kw_only=True)\n"
        "class Mine(Check):\n    '''Crashes.'''\n\n    def judge(self, run):\n        return 1 / 0\n"
    )
    project.suite(floor(1, 0.4), '[[check]]\ncheck = "mine:Mine"\n')
    result = project.pytest()
    result.assert_outcomes(passed=1, failed=1)
    assert "could not be judged: the check itself crashed: ZeroDivisionError: division by zero" in said(result)


def test_a_run_directory_below_a_file(project: Project) -> None:
    (project.path / "taken").write_text("")
    result = project.pytest("--lvm-dir", "taken/here")
    result.assert_outcomes(failed=4)
    text = said(result)
    assert "taken/here" in text
    assert "cannot be written: Not a directory" in text
    assert "Give a directory that can be written: --lvm-dir PATH." in text


def test_a_run_directory_that_is_a_file(project: Project) -> None:
    (project.path / "taken").write_text("")
    result = project.pytest("--lvm-dir", "taken")
    result.assert_outcomes(failed=4)
    assert "cannot be written: Not a directory" in said(result)


@pytest.mark.parametrize("part", ["slots", "cache", "runs/toy"])
def test_a_part_of_the_run_directory_that_is_a_file(project: Project, part: str) -> None:
    path = project.home / part
    path.parent.mkdir(parents=True)
    path.write_text("")
    if part == "cache":
        (project.path / "toy_config.py").write_text(
            "from pathlib import Path\n\ndef input_files(config):\n    return [Path('toy.py')]\n"
        )
    result = project.pytest()
    text = said(result)
    if part == "cache":
        result.assert_outcomes(passed=4)  # nothing is remembered, and nothing else is lost
    else:
        result.assert_outcomes(failed=4)
        assert "cannot be written" in text


def test_an_input_file_that_is_missing(project: Project) -> None:
    (project.path / "toy_config.py").write_text(
        "from pathlib import Path\n\ndef input_files(config):\n    return [Path('nowhere.bin')]\n"
    )
    result = project.pytest()
    result.assert_outcomes(failed=4)
    assert "nowhere.bin: cannot be read: No such file or directory." in said(result)


def test_deselecting_everything_is_not_green(project: Project) -> None:
    assert project.pytest("-k", "no_such_thing").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert not project.runs()


# -- the real trainer, end to end --------------------------------------------------------------------------------------
ROOT = Path(__file__).parents[2]
AMN: dict[str, Any] = {
    "trainer": "vector",
    "epochs": 1,
    "batch_size": 32,
    "lr": 5e-4,
    "schedule": "plateau",
    "steps": None,
    "curve": None,
    "window": None,
    "loss": None,
}
TABLES = """
[run.model]
kind = "amn"
d_model = 16
hidden_dim = 16
[run.loss]
mse = 1.0
[run.data]
source = "twin"
recipe = "wiki_584k"
context = 5
"""


@pytest.fixture
def real(project: Project) -> Project:
    (project.path / "pytest.ini").write_text(f"[pytest]\npythonpath = . {ROOT}\n")
    project.suite(floor(1, -1), extra=TABLES, **AMN)
    return project


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "amn"', 'kind = "amm"', "suites/toy/suite.toml:14: run.model.kind: "),
        ("mse = 1.0", "msee = 1.0", "suites/toy/suite.toml:18: run.loss.msee: "),
        ('metric = "val_cosine"', 'metric = "val_cosin"', "Did you mean 'val_cosine'?"),
        ("lr = 0.0005", "learing_rate = 0.0005", "suites/toy/suite.toml:10: run.learing_rate: "),
    ],
)
def test_unknown_names_of_the_real_trainer(real: Project, old: str, new: str, message: str) -> None:
    text = real.suite_file.read_text()
    assert old in text
    real.suite_file.write_text(text.replace(old, new))
    result = real.pytest()
    assert result.ret == COLLECT
    assert message in said(result)


def test_data_that_is_not_there(real: Project) -> None:
    result = real.pytest("--lvm-data", "nowhere.npz")
    assert result.ret != 0
    assert "nowhere.npz: " in said(result)
    assert not real.runs()


def windows(path: Path, count: int, *, bad: float | None = None) -> Path:
    """An npz of ``count`` windows of unit vectors in 16 dimensions, in the original project's format."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((count, 6, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    if bad is not None:
        vectors[3, 2, 1] = bad
    np.savez(path, context_sequences=vectors[:, :5], target_vectors=vectors[:, 5])
    return path


@pytest.mark.parametrize(
    ("count", "bad", "message"),
    [
        (200, np.nan, "mine.npz: context_sequences: 1 NaN or infinite values, first at [row 3, ctx 2, dim 1]"),
        (20, None, "toml:9: run.batch_size: expected at least a batch of 32 training windows, got 18."),
    ],
    ids=["NaN", "fewer than a batch"],
)
def test_data_that_cannot_be_trained_on(real: Project, count: int, bad: float | None, message: str) -> None:
    windows(real.path / "mine.npz", count, bad=bad)
    result = real.pytest("--lvm-data", "mine.npz")
    result.assert_outcomes(failed=1)
    text = said(result)
    assert message in text
    assert "Nothing was trained." in text


def test_the_real_trainer_passes_on_a_small_twin(real: Project) -> None:
    real.suite(floor(1, -1), extra=f"{TABLES}dim = 64\nsequences = 200\nval_sequences = 64\nood_sequences = 0\n", **AMN)
    result = real.pytest("-v")
    result.assert_outcomes(passed=1)
    assert "profile smoke" in said(result)
