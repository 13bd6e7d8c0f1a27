"""A regression planted in a trainer is stopped end to end: the commands of both jobs, then those of their gates."""

from __future__ import annotations

import shutil

import pytest

from suites.ci.gate_kit import ROOT, SUITE, Repository, ask, refused

pytestmark = pytest.mark.own_process  # it sets the environment

FULL = f"""
[[suite]]
file = "{SUITE}"
profile = "full"
device = "cuda"
seeds = 2
checks = 4
"""
PROFILES = "\n[profile.full]\nepochs = 6\ncurve = [0.50, 0.55, 0.58, 0.60, 0.61, 0.62]\n"


class Jobs(Repository):
    """The toy repository with this project's ``ci/``: a CPU job at the smoke profile and a GPU job at the full one.

    No GPU is used: the toy trainer believes the device that it is told.
    """

    def __init__(self, pytester: pytest.Pytester) -> None:
        super().__init__(pytester)
        shutil.copytree(ROOT / "ci", self.path / "ci", ignore=shutil.ignore_patterns("__pycache__"))
        smoke = (self.path / "gate.toml").read_text()
        (self.path / "ci" / "gate_cpu.toml").write_text(smoke)
        (self.path / "ci" / "gate.toml").write_text(FULL)
        self.suite(extra=PROFILES)
        self.commit()

    def judge(self, require: str) -> tuple[int, str]:
        """The training job: exit code and output."""
        plain = ("-p", "no:cacheprovider", "-p", "no:benchmark", "-p", "no:hypothesispytest", "-q")
        done = ask("--require", f"ci/{require}", *plain, cwd=self.path, script=self.path / "ci" / "judge.py")
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout

    def decide(self, report: str, require: str) -> tuple[int, str]:
        """The gate job, with the script of another checkout, as the workflows have it."""
        done = ask(f".lvmcheck/reports/{report}.json", "--require", f"ci/{require}", cwd=self.path)
        return done.returncode, done.stdout

    def regress(self, old: str, new: str) -> None:
        path = self.path / "toy.py"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        self.commit()


@pytest.fixture
def jobs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return Jobs(pytester)


def test_a_regression_is_stopped_by_both_jobs(jobs: Jobs) -> None:
    """Healthy: both pass. A trainer that gets worse after epoch 4: only the full profile sees it. One that is worse
    from the start: both see it; and the reports of the healthy commit do not stand for it."""
    for require, report in (("gate_cpu.toml", "smoke-cpu"), ("gate.toml", "full-cuda")):
        code, said = jobs.judge(require)
        assert code == 0, said
        assert "accepted: " in said
        assert jobs.decide(report, require)[0] == 0
    jobs.regress("cosine = config", "cosine = (0.4 if epoch > 4 else 1.0) * config")
    code, said = jobs.decide("full-cuda", "gate.toml")
    assert code == 1
    assert "the report is for commit" in said
    assert jobs.judge("gate_cpu.toml")[0] == 0
    assert jobs.judge("gate.toml")[0] == 1
    code, said = jobs.decide("full-cuda", "gate.toml")
    assert code == 1
    assert "cosine_floor[val_cosine@final]: failed: val cosine 0.2" in said
    jobs.regress("(0.4 if epoch > 4 else 1.0)", "0.5")
    code, said = jobs.judge("gate_cpu.toml")
    assert code == 1
    assert "cosine_floor[val_cosine@1]: failed: val cosine 0.25" in said


def test_a_job_that_never_wrote_a_report(jobs: Jobs) -> None:
    refused(ask("reports/smoke-cpu.json", "--require", "ci/gate_cpu.toml", cwd=jobs.path), "no report: No such file")


def test_the_workflows_call_these_commands() -> None:
    text = {name: (ROOT / "ci" / "github" / f"lvmcheck-{name}.yml").read_text() for name in ("cpu", "gpu")}
    assert "ci/judge.py --require ci/gate.toml" in text["gpu"]
    assert "python3 ci/gate.py reports/smoke-cpu.json --require ci/gate_cpu.toml" in text["cpu"]
    assert "python3 ci/gate.py reports/*.json --require ci/gate.toml" in text["gpu"]
