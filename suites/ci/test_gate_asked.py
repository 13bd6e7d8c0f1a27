"""The gate as it is asked: what it cannot use, what it reads from which commit, and who accepts what."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from suites.ci.gate_kit import NONCE, SUITE, scripts, seal
from suites.ci.test_gate_edits import healthy
from suites.ci.trees_kit import FILES, REQUIRED, TEXT

pytestmark = pytest.mark.own_process

gate, files = scripts()
git = sys.modules["gate_git"]
DAY = datetime.date.today() + datetime.timedelta(days=9)
LOOSER = f"""
[[loosening]]
code = "bound_loosened"
subject = "{SUITE} (smoke): cosine_floor val_cosine 1: floor"
got = "0.4"
reason = "the corpus was cleaned"
owner = "@ana"
expires = {DAY}
"""


class Checkout:
    """A repository of two commits, the second with a lower floor, and a report of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q")
        self.base = self.commit({**FILES, "waivers.toml": LOOSER})
        self.head = self.commit({SUITE: TEXT.replace("floor = 0.5", "floor = 0.4")})
        (folder / "report.json").write_text(seal(healthy()))

    def git(self, *words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.invalid", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *who, *words], cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, contents: dict[str, str]) -> str:
        for name, text in contents.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def words(self, **changed: str | None) -> list[str]:
        given: dict[str, str | None] = {"require": "gate.toml", "base": self.base, "commit": self.head, "nonce": NONCE}
        return [f"--{name}={value}" for name, value in {**given, **changed}.items() if value is not None]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def here(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    for name in ("GITHUB_SHA", "CI_COMMIT_SHA", "LVMCHECK_NONCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(checkout.folder)
    return checkout


def asked(capsys: pytest.CaptureFixture[str], here: Checkout, **changed: str | None) -> tuple[int, str]:
    code = gate.main(["report.json", *here.words(**changed)])
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) <= gate.SCREEN
    return code, captured.out + captured.err


def test_a_loosening_is_accepted_by_the_base_branch_alone(
    capsys: pytest.CaptureFixture[str], here: Checkout, tmp_path: Path
) -> None:
    code, said = asked(capsys, here)
    assert (code, "[bound_loosened]" in said, "[other_commit]" in said) == (1, True, True)
    code, said = asked(capsys, here, waivers="waivers.toml")
    assert (code, "[bound_loosened]" in said) == (1, False)
    code, said = asked(capsys, here, base="none", waivers="waivers.toml")
    assert "[bound_loosened]" not in said
    (tmp_path / "mine.toml").write_text(LOOSER.replace('got = "0.4"', 'got = "0.3"'))  # of another value
    assert "[bound_loosened]" in asked(capsys, here, waivers=str(tmp_path / "mine.toml"))[1]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"nonce": None}, "nonce"),
        ({"nonce": ""}, "nonce"),
        ({"base": None}, "base"),
        ({"base": "no-such-branch"}, "no-such-branch"),
        ({"base": "--all"}, "--all"),
        ({"commit": ""}, "commit"),
        ({"commit": "f" * 40}, "f" * 40),
        ({"require": "new.toml"}, "new.toml"),
        ({"require": "/no/such.toml"}, "/no/such.toml"),
    ],
)
def test_what_cannot_be_asked(
    capsys: pytest.CaptureFixture[str], here: Checkout, changed: dict[str, Any], named: str
) -> None:
    (here.folder / "new.toml").write_text(REQUIRED)  # on no branch
    assert gate.main(["report.json", *here.words(**changed)]) == 2
    said = capsys.readouterr().err
    assert (named in said, said.count("\n")) == (True, 1)


def test_the_commit_is_that_of_the_ci(here: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gate.this_commit() == here.head
    monkeypatch.setenv("CI_COMMIT_SHA", "b")
    assert gate.this_commit() == "b"
    monkeypatch.setenv("GITHUB_SHA", "a")
    assert gate.this_commit() == "a"
    monkeypatch.setenv("PATH", "")
    assert git.resolved("HEAD") is None


def test_a_report_that_is_not_there(capsys: pytest.CaptureFixture[str], here: Checkout) -> None:
    assert gate.main(["none.json", "--selftest", "none.json", *here.words(base="none")]) == 1
    said = capsys.readouterr().out
    assert (said.count("[no_report]"), "[suite_missing]" in said) == (1, True)


def test_other_profiles_are_named(capsys: pytest.CaptureFixture[str], here: Checkout) -> None:
    body = healthy()
    body["suites"][0]["profile"] = "full"
    (here.folder / "report.json").write_text(seal(body))
    assert "only full" in asked(capsys, here, base="none")[1]
    (here.folder / "report.json").write_text(seal(healthy()))


def test_a_nonce_is_new_and_its_file_private(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "nonce"
    assert gate.main(["start", str(place)]) == gate.main(["start"]) == 0
    first, second = capsys.readouterr().out.split()
    assert (len(first), first != second, place.read_text()) == (32, True, f"{first}\n")
    assert place.stat().st_mode & 0o777 == 0o600
    assert gate.main(["start", str(place)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_nonce_that_holds_the_base(capsys: pytest.CaptureFixture[str], here: Checkout) -> None:
    """A base that was moved since the nonce was made cannot be used."""
    here.git("branch", "-f", "target", here.base)
    assert gate.main(["start", "--base", "target"]) == 0
    nonce = capsys.readouterr().out.strip()
    assert nonce.endswith(f"-base-{here.base}")
    assert asked(capsys, here, nonce=nonce, base="target")[0] == 1  # by the report, which bears another nonce
    here.git("branch", "-f", "target", here.head)
    assert gate.main(["report.json", *here.words(nonce=nonce, base="target")]) == 2
    said = capsys.readouterr().err
    assert (here.base in said, here.head in said, said.count("\n")) == (True, True, 1)
    assert gate.main(["start", "--base", "none"]) == 0
    assert len(capsys.readouterr().out.strip()) == 32
    assert gate.main(["start", "--base", "nowhere"]) == 2
    assert capsys.readouterr().out == ""


RULE = '[[suite]]\nfile = "f"\nprofile = "p"\ndevice = "cpu"\nseeds = 1\nchecks = 1\n'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "suite"),
        ("suite = []", "suite"),
        ("suite = 1", "suite"),
        ("suite = [1]", "suite[0]"),
        (f"{RULE}[other]\n", "other"),
        (f"gate = 1\n{RULE}", "gate"),
        (f"[gate]\nmax_age_hour = 1\n{RULE}", "max_age_hours"),
        (f"[gate]\nmax_age_hours = true\n{RULE}", "max_age_hours"),
        (f"[gate]\nselftest = 1.5\n{RULE}", "selftest"),
        (f"{RULE}selftest = -0.1\n", "selftest"),
        (RULE.replace('"f"', '" "'), "file"),
        (RULE.replace('device = "cpu"\n', ""), "device"),
        (RULE.replace("seeds = 1", "seeds = 0"), "seed"),
        (RULE.replace("checks = 1", "checks = 0"), "check"),
        (f"{RULE}samples_per_second = [1]\n", "samples_per_second"),
        (f"{RULE}samples_per_second = [2, 1]\n", "samples_per_second"),
        (f"{RULE}samples_per_second = [-1, 1]\n", "samples_per_second"),
        (f'{RULE}samples_per_second = ["a", "b"]\n', "samples_per_second"),
        ("[[", "gate.toml"),
        ("x" * (1 << 20) + "y", "1 MB"),
    ],
    ids=range(20),
)
def test_requirements_that_cannot_be_used(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(files.Unusable) as caught:
        files.read_rules(path)
    assert named in str(caught.value)


def test_requirements_that_can_be_used(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(f"[gate]\nselftest = 1.0\n{RULE}samples_per_second = [0, 0]\nselftest = 0.0\n")
    rules = files.read_rules(path)
    assert (rules["max_age_hours"], rules["max_waiver_days"], rules["selftest"]) == (24, 90, 1.0)
    assert (rules["protected"], rules["opens"], len(rules["suite"])) == ([], [], 1)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("waiver = 1", "[[waiver]]"),
        ("waiver = [1]", "waiver[0]"),
        ("other = 1", "other"),
        (LOOSER.replace("bound_loosened", "too_old"), "loosening.code"),
        (LOOSER.replace('owner = "@ana"\n', ""), "owner"),
        (LOOSER.replace(f"expires = {DAY}", f'expires = "{DAY}"'), "expires"),
    ],
    ids=range(6),
)
def test_waivers_that_cannot_be_used(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text(text)
    with pytest.raises(files.Unusable) as caught:
        files.read_waivers(path)
    assert named in str(caught.value)
    assert files.read_waivers(None) == []
