"""``lvmcheck check``, ``diagnose``, ``list`` and ``explain``: what they answer, and their exit codes."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lvmcheck
from lvmcheck.causes.protocol import cause_names
from lvmcheck.checks.finding import (
    Asked,
    Finding,
    Verdict,
    failed,
    not_applicable,
    not_recorded,
    passed,
    pending,
    warning,
)
from lvmcheck.checks.protocol import check_names, universal_checks
from lvmcheck.commands._judging import exit_code
from lvmcheck.commands.main import BAD_INPUT, EXITS, FAILED, LINE, PASSED, main

SUITE = """[suite]
about = "a"
checks = 2

[run]
trainer = "json:loads"
epochs = 2
seeds = [0]

[[check]]
check = "cosine_floor"
metric = "val_cosine"
epoch = 1
floor = 0.4
source = "the paper"

[[check]]
check = "cosine_floor"
metric = "val_cosine"
epoch = "final"
floor = {final}
"""


def record(folder: Path, *cosines: float, config: dict[str, object] | None = None, finish: bool = True) -> Path:
    """A real run directory with two steps an epoch."""
    rec = lvmcheck.record(folder, config={"epochs": len(cosines)} if config is None else config, seed=0, window=1)
    for epoch, cosine in enumerate(cosines, start=1):
        for step in range(2):
            rec.step(loss=1.0 / (epoch + step), samples=4)
        rec.epoch(epoch, val_cosine=cosine)
    if finish:
        rec.close("finished")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return record(tmp_path / "run", 0.5, 0.6)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "suite.toml"
    path.write_text(SUITE.replace("{final}", "0.55"))
    return path


def call(capsys: pytest.CaptureFixture[str], *args: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error; never a traceback."""
    try:
        code = main([str(arg) for arg in args])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert "internal error" not in err
    return code, out, err


def judged(capsys: pytest.CaptureFixture[str], *args: str | Path) -> tuple[int, dict[str, Any]]:
    """Exit code, and by the names of the verdicts their outcomes, with their address."""
    code, out, _ = call(capsys, *args, "--json")
    return code, {verdict["name"]: {**verdict, **verdict["outcome"]} for verdict in json.loads(out)}


# -- check -------------------------------------------------------------------------------------------------------------
def test_a_good_run_passes_the_checks_of_a_suite(capsys: pytest.CaptureFixture[str], run: Path, suite: Path) -> None:
    code, out, _ = call(capsys, "check", run, "--suite", suite)
    assert code == PASSED
    assert out.splitlines()[0] == "✓ cosine_floor[val_cosine@1]  val cosine 0.5000 at epoch 1 (floor 0.4)"


def test_a_suite_may_be_named_by_its_folder(capsys: pytest.CaptureFixture[str], run: Path, suite: Path) -> None:
    assert call(capsys, "check", run, "--suite", suite.parent) == call(capsys, "check", run, "--suite", suite)


def test_a_bad_run_fails_and_says_where_it_was_asked(
    capsys: pytest.CaptureFixture[str], run: Path, suite: Path
) -> None:
    suite.write_text(SUITE.replace("{final}", "0.9"))
    code, out, _ = call(capsys, "check", run, "--suite", suite)
    assert code == FAILED
    assert "✗ cosine_floor[val_cosine@final]  val cosine 0.6000 at epoch 2 (floor 0.9)" in out
    assert f"required by {suite}:17" in out


@pytest.mark.parametrize(
    ("stated", "differing"),
    [
        ({"epochs": 2}, None),
        ({"epochs": 2.0, "lr": 0.1, "model": "amn"}, None),  # a key of its own, and one in another form
        ({"epochs": 4}, {"total": 1, "epochs": 4, "epochs_expected": 2}),
        ({"epochs": 2, "loss": {"mse": 1.0, "info": 0.5}, "model": {"kind": "amn"}}, {"total": 4, "loss.info": 0.5}),
        ({}, None),
    ],
)
def test_a_run_of_another_config_is_no_pass_of_a_suite(
    capsys: pytest.CaptureFixture[str],
    suite: Path,
    tmp_path: Path,
    stated: dict[str, object],
    differing: dict[str, object] | None,
) -> None:
    lines = 'epochs = 2\nmodel = { kind = "amn" }\nloss = { mse = 1.0 }'
    suite.write_text(SUITE.replace("{final}", "0.4").replace("epochs = 2", lines))
    other = record(tmp_path / "other", 0.5, 0.6, 0.6, 0.6, config=stated)
    code, verdicts = judged(capsys, "check", other, "--suite", suite)
    kept = verdicts["cosine_floor[val_cosine@1]"]["status"], verdicts["cosine_floor[val_cosine@final]"]["status"]
    assert kept == ("passed", "passed")
    found = verdicts.get("config_matches[suite]")
    assert (code, found is not None) == ((FAILED, True) if differing else (PASSED, False))
    if found is not None and differing is not None:
        facts = {fact["name"]: fact["value"] for fact in found["finding"]["evidence"]}
        assert (found["finding"]["code"], facts.items() >= differing.items()) == ("settings_differ", True)
        assert found["asked"] == {"file": str(suite), "line": 5}


def test_without_a_suite_the_universal_checks_judge(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    code, out, _ = call(capsys, "check", run)
    assert code == PASSED
    assert out.startswith("no problem found in 4 steps: ")
    assert "✓ finite" in call(capsys, "check", run, "-v")[1]


def test_a_nan_fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, verdicts = judged(capsys, "check", record(tmp_path / "bad", 0.5, float("nan")))
    assert code == FAILED
    assert verdicts["finite"]["status"] == "failed"
    assert verdicts["finite"]["finding"]["epoch"] == 2


def test_verdicts_as_json(capsys: pytest.CaptureFixture[str], run: Path, suite: Path) -> None:
    code, verdicts = judged(capsys, "check", run, "--suite", suite)
    assert code == PASSED
    assert [item["status"] for item in verdicts.values()] == ["passed", "passed"]
    first = verdicts["cosine_floor[val_cosine@1]"]
    assert (first["check"], first["finding"]["measured"]) == ("cosine_floor", 0.5)
    assert (first["asked"], first["source"]) == ({"file": str(suite), "line": 10}, "the paper")


def test_json_of_a_nan_is_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = call(capsys, "check", record(tmp_path / "bad", 0.5, float("nan")), "--json")
    assert code == FAILED
    json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.parametrize("command", ["check", "diagnose"])
def test_a_run_that_goes_on_is_judged_as_far_as_it_goes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, suite: Path, command: str
) -> None:
    going = record(tmp_path / "going", 0.5, config={"epochs": 2}, finish=False)
    code, out, _ = call(capsys, command, going, "--suite", suite)
    assert (code, out.splitlines()[-1][-15:]) == (FAILED, "1 check pending")  # what the suite asks for is not there
    assert call(capsys, command, going)[0] == PASSED


@pytest.mark.parametrize("command", ["check", "diagnose"])
def test_a_run_that_records_nothing_has_not_passed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    lvmcheck.record(tmp_path / "silent", config={"epochs": 1}).close("finished")
    code, _, err = call(capsys, command, tmp_path / "silent")
    assert code == FAILED
    assert len(err.splitlines()) <= 1


WARNED = Verdict(
    name="w", check="w", outcome=warning(Finding(code="odd", measured=1.0)), seed=0, asked=None, source=None
)
NOT_RECORDED = replace(WARNED, outcome=not_recorded("no train_loss"))
NOT_APPLICABLE = replace(WARNED, outcome=not_applicable("a vector model"))
PENDING = replace(WARNED, outcome=pending("epoch 2", evaluated=3))
GOOD = replace(WARNED, outcome=passed(Finding(code="fine", measured=1.0)))
BAD = replace(WARNED, outcome=failed(Finding(code="low", measured=1.0)))


@pytest.mark.parametrize(
    ("verdicts", "strict", "code"),
    [
        ([GOOD], False, PASSED),
        ([GOOD, WARNED, NOT_RECORDED, NOT_APPLICABLE, PENDING], False, PASSED),
        ([GOOD, WARNED], True, FAILED),
        ([GOOD, NOT_RECORDED, NOT_APPLICABLE, PENDING], True, PASSED),
        ([GOOD, BAD], False, FAILED),
        ([PENDING], False, PASSED),
        ([GOOD, replace(PENDING, asked=Asked(file="suite.toml", line=1))], False, FAILED),
        ([WARNED], False, PASSED),
        ([NOT_RECORDED, NOT_APPLICABLE], False, FAILED),
        ([replace(PENDING, outcome=pending("the first step"))], False, FAILED),
        ([], False, FAILED),
    ],
)
def test_what_decides_the_exit_code(verdicts: list[Verdict], strict: bool, code: int) -> None:
    assert exit_code(verdicts, strict=strict) == code


@pytest.mark.parametrize("command", ["check", "diagnose"])
def test_what_does_not_apply_is_a_count_or_a_list(capsys: pytest.CaptureFixture[str], run: Path, command: str) -> None:
    silent = [v for v in judged(capsys, "check", run)[1].values() if v["status"].startswith("not ")]
    short, long = (call(capsys, command, run, *more)[1] for more in ((), ("--verbose",)))
    assert f"{len(silent)} did not apply or lacked data (-v lists them)" in short
    assert all(f"– {v['name']}  {v['message']}" in long for v in silent)
    assert not any(line.startswith("–") for line in short.splitlines())


@pytest.mark.parametrize("bad", [False, True])
def test_check_and_diagnose_agree(capsys: pytest.CaptureFixture[str], tmp_path: Path, bad: bool) -> None:
    run = record(tmp_path / "run", 0.5, math.nan if bad else 0.6)
    codes = [call(capsys, command, run)[0] for command in ("check", "diagnose")]
    assert codes == [FAILED if bad else PASSED] * 2
    failed = [name for name, verdict in judged(capsys, "check", run)[1].items() if verdict["status"] == "failed"]
    body = json.loads(call(capsys, "diagnose", run, "--json")[1])
    assert [verdict["name"] for verdict in body["verdicts"] if verdict["outcome"]["status"] == "failed"] == failed


@pytest.mark.parametrize("profile", [5, None, "nonsense", {"a": 1}])
def test_a_hostile_profile_in_run_json(
    capsys: pytest.CaptureFixture[str], run: Path, suite: Path, profile: object
) -> None:
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**info, "profile": profile}))
    (run / "done.json").unlink()  # it seals run.json
    code, _, err = call(capsys, "check", run, "--suite", suite)
    assert code == (BAD_INPUT if profile == "nonsense" else FAILED)  # nobody writes it, and it has no end: it is dead
    assert profile != "nonsense" or "no profile 'nonsense'" in err


# -- bad input ---------------------------------------------------------------------------------------------------------
def test_a_path_that_is_no_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = call(capsys, "check", tmp_path / "nowhere")
    said, _, more = err.partition(": expected a recorded run, got nothing: no such file or directory.")
    assert (code, out, said, more.count("\n")) == (BAD_INPUT, "", str(tmp_path / "nowhere"), 1)
    code, _, err = call(capsys, "diagnose", tmp_path)
    assert code == BAD_INPUT
    assert err.startswith(f"{tmp_path}: expected a recorded run, got an empty folder.")
    assert len(err.splitlines()) == 1


def test_a_run_that_was_changed_afterwards(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    events = run / "events.jsonl"
    events.write_text(events.read_text().replace("0.6", "0.9"))
    code, _, err = call(capsys, "check", run)
    assert code == BAD_INPUT
    assert "does not match its completion record" in err


def test_a_line_that_is_no_event(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    (run / "done.json").unlink()
    lines = (run / "events.jsonl").read_text().splitlines()
    (run / "events.jsonl").write_text("\n".join([lines[0], "rubbish", *lines[1:]]) + "\n")
    code, _, err = call(capsys, "check", run)
    assert code == BAD_INPUT
    assert err.startswith(f"{run / 'events.jsonl'}:2: expected one JSON object, got 'rubbish'")
    assert len(err.splitlines()) == 1


def test_a_suite_with_a_mistake(capsys: pytest.CaptureFixture[str], run: Path, suite: Path) -> None:
    suite.write_text(SUITE.replace("{final}", "0.5").replace("cosine_floor", "cosine_flor", 1))
    code, _, err = call(capsys, "check", run, "--suite", suite)
    assert code == BAD_INPUT
    assert err.startswith(f"{suite}:")
    assert "Did you mean 'cosine_floor'?" in err


# -- diagnose, list, explain -------------------------------------------------------------------------------------------
def test_a_good_run_has_no_cause(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    code, out, _ = call(capsys, "diagnose", run)
    assert code == PASSED
    assert "\nno problem found: " in out
    code, out, _ = call(capsys, "diagnose", run, "--json")
    body = json.loads(out)
    assert (code, body["causes"], body["verdicts"]) == (PASSED, [], [])


def test_a_bad_run_without_a_known_cause_is_bad_in_words_and_json(
    capsys: pytest.CaptureFixture[str], run: Path, suite: Path
) -> None:
    suite.write_text(SUITE.replace("{final}", "0.9"))
    code, out, _ = call(capsys, "diagnose", run, "--suite", suite)
    assert code == FAILED
    assert "no known cause for:\n  ✗ cosine_floor[val_cosine@final] " in out
    code, out, _ = call(capsys, "diagnose", run, "--suite", suite, "--json")
    body = json.loads(out)
    assert (code, body["causes"], body["verdicts"][0]["check"]) == (FAILED, [], "cosine_floor")


def test_a_dominating_term_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rec = lvmcheck.record(tmp_path / "run", config={"epochs": 1}, window=10)
    for step in range(300):
        mse, nce = 0.0026 + 1e-6 * (step % 3), 2.4 - 1e-4 * step
        rec.step(loss=0.5 * mse + 0.5 * nce, terms={"mse": (0.5, mse), "info_nce": (0.5, nce)}, samples=32)
        if step % 100 == 99:
            rec.probe("term_grad_norm", {"mse": 0.001, "info_nce": 0.4})
    rec.epoch(1, train_cosine=0.25, val_cosine=0.25)
    rec.close("finished")
    code, out, _ = call(capsys, "diagnose", tmp_path / "run")
    assert code == FAILED
    assert "\ncause (measured): " in out
    code, out, _ = call(capsys, "diagnose", tmp_path / "run", "--json")
    assert code == FAILED
    first = json.loads(out)["causes"][0]
    assert (first["name"], first["standing"]) == ("dominant_term", "measured")


def test_all_checks_and_causes_are_listed_by_subject(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "list", "checks")
    assert code == PASSED
    rows = [line[4:].split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert sorted(rows) == check_names()
    universal = [line[4:].split()[0] for line in out.splitlines() if line.startswith("  *")]
    assert sorted(universal) == sorted(check.name() for check in universal_checks())
    subjects = [line for line in out.splitlines() if not line.startswith((" ", "*"))]
    assert subjects == sorted(subjects)
    code, out, _ = call(capsys, "list", "causes")
    assert code == PASSED
    assert sorted(line[4:].split()[0] for line in out.splitlines() if line.startswith("  ")) == cause_names()


@pytest.mark.parametrize("name", check_names())
def test_every_check_is_explained(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = call(capsys, "explain", name)
    assert code == PASSED
    assert out.startswith(f"check {name}\n")
    assert "\nWhy\n" in out


@pytest.mark.parametrize("name", cause_names())
def test_every_cause_is_explained(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = call(capsys, "explain", name)
    assert code == PASSED
    assert f"cause {name}\n" in out
    assert "\n  fix: " in out


def test_an_unknown_name_offers_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "explain", "cosine_flor")
    assert (code, out) == (BAD_INPUT, "")
    assert err.partition(" [LVM-")[0] == "'cosine_flor': no such check or cause. Did you mean 'cosine_floor'?"


# -- help --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", LINE.names())
def test_every_command_shows_an_example_and_its_exit_codes(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = call(capsys, name, "--help")
    assert code == PASSED
    assert f"\nexample:\n  lvmcheck {name} " in out
    codes = [int(line.split()[0]) for line in out.split("exit codes:\n")[1].splitlines()]
    assert set(EXITS) <= set(codes)
    assert codes == sorted(codes)


def test_all_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "--help")
    assert code == PASSED
    listed = out.split("COMMAND\n")[1].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed if line[4] != " "] == LINE.names()


def test_only_the_command_that_is_called_is_imported() -> None:
    code = (
        "import sys; from lvmcheck.commands.main import LINE, main; main(['explain', 'cosine_floor'])\n"
        "print([name for name in LINE.names() if f'lvmcheck.commands.{name}' in sys.modules])\n"
        "print(sorted({'torch', 'pydantic', 'rich', 'pytest'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["['explain']", "[]"]
