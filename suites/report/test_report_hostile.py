"""What comes from outside: markup in every text, huge histories, broken files. The page stays a page, and bounded."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvmcheck.commands.main import main
from lvmcheck.errors import InputError
from lvmcheck.report.html.rows import recorded_rows
from lvmcheck.report.html.subject import subject_of
from lvmcheck.report.html.text import clean
from lvmcheck.report.html.thinning import LEAST, MOST, POINTS, points_a_curve, thinned
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from
from suites.report.report_kit import Page, epochs, page, subject, verdict, whole_run

BAD = "<script>alert(1)</script>"
ATTRIBUTE = '"><img src=x onerror=alert(1)>'
CLOSE = "</script><script>alert(2)</script>"


def hostile_run() -> Run:
    """Markup wherever a run can hold text."""
    facts = {"gate.parts": [BAD, "train"], f"gate.{BAD}.rows": ATTRIBUTE, "gate.train.rows": 1, CLOSE: BAD}
    said: list[ev.Event] = [
        ev.Data(name=BAD, fingerprint=ATTRIBUTE, facts=facts, notes=(CLOSE,)),
        ev.Model(kind=BAD, parameters=1),
        ev.Stage(index=0, name=ATTRIBUTE, epoch=1, step=0, fingerprint=BAD),
        ev.Stage(index=1, name=CLOSE, epoch=2, step=5, fingerprint=BAD),
        ev.Sample(name=CLOSE, epoch=1, step=1, prompt=BAD, text=BAD, answer=ATTRIBUTE, dataset=CLOSE),
        ev.Note(text=ATTRIBUTE),
        *epochs({BAD: [1.0, 2.0], CLOSE: [1.0, math.nan], "val_cosine": [0.1, 0.2]}),
    ]
    info: dict[str, Any] = dict.fromkeys(("suite", "profile", "device", "trainer", "created", "platform"), CLOSE)
    info |= {"config": {ATTRIBUTE: BAD, "x": {CLOSE: [BAD]}}, "versions": {BAD: ATTRIBUTE}}
    return Run(events=tuple(said), info=info, done={"status": "stopped", "reason": BAD}, path=Path("a<b>"))


def hostile_rows() -> list[dict[str, Any]]:
    return [
        verdict(BAD, "failed", what=CLOSE, evidence=[ATTRIBUTE, BAD], source=BAD, asked="javascript:alert(1):3"),
        verdict(CLOSE, measured=ATTRIBUTE, wanted=BAD, asked=f"{ATTRIBUTE}:1"),
        verdict(ATTRIBUTE, "not applicable", reason=BAD),
    ]


def test_markup_from_outside_stays_text() -> None:
    html = Page(page(subject(hostile_run(), *hostile_rows(), label=BAD)))
    assert len(html.all("script")) == 2, "the figures and the script of the page"
    for tag, attributes, _ in html.elements:
        assert tag != "img"
        assert not any(name.startswith("on") for name in attributes), attributes
        assert not attributes.get("href", "").startswith("javascript")
    shown = html.text("body")
    assert shown.count(BAD) >= 10, "shown as it is, not swallowed"
    assert json.loads(html.text("script", type="application/json"))["runs"] == [BAD]


def test_control_signs_and_overrides_do_not_reach_the_page() -> None:
    assert clean("a\x00b\x1b[31mc\u202ed\ud800") == "a\ufffdb\ufffd[31mc\ufffdd\ufffd"
    assert clean("two\n\tlines") == "two\n\tlines"
    assert clean("x" * 1000, 10) == "x" * 10 + " … (1,000 signs)"
    run = run_from({"v\x1b[2J\x00": [1.0]})
    html = page(subject(run))
    assert not {sign for sign in html if ord(sign) < 32} - {"\n", "\t"}


# -- long histories ----------------------------------------------------------------------------------------------------
Numbers = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan) | st.just(math.inf), max_size=400)


@given(Numbers, st.integers(8, 100))
def test_thinning_keeps_ends_extremes_and_what_is_not_finite(values: list[float], limit: int) -> None:
    y = np.array(values, dtype=np.float64)
    kept = thinned(y, limit)
    assert len(kept) <= limit or len(y) <= limit
    assert np.all(np.diff(kept) > 0)
    if len(y):
        assert (kept[0], kept[-1]) == (0, len(y) - 1)
    finite, left = y[np.isfinite(y)], y[kept][np.isfinite(y[kept])]
    if len(finite):
        assert (finite.min(), finite.max()) == (left.min(), left.max())
    assert np.isfinite(y).all() == np.isfinite(y[kept]).all()


def test_thinning_refuses_a_limit_that_cannot_hold_it() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        thinned(np.zeros(100), 7)


@pytest.mark.parametrize("curves", [0, 1, 30, 1000, 100_000])
def test_all_curves_together_stay_within_the_points_of_a_report(curves: int) -> None:
    each = points_a_curve(curves)
    assert LEAST <= each <= MOST
    assert each == LEAST or each * curves <= POINTS


def test_a_long_history_is_thinned_and_says_so_and_keeps_its_spike() -> None:
    values = [1.0 + 1e-6 * (i % 1000) for i in range(50_000)]
    values[31_234] = 77.0
    html = page(subject(run_from({"val_loss": values})))
    assert len(html) < 300_000
    assert "77" in html
    assert f"Curves of up to 50,000 points are thinned to at most {MOST:,}" in html


def test_ten_thousand_metrics_are_a_page_with_a_hundred() -> None:
    run = Run(events=tuple(epochs({f"m{i}": [1.0, 2.0] for i in range(10_000)})))
    html = Page(page(subject(run, verdict("finite"))))
    assert len(html.all("figure")) == 100
    assert "9,900 more metrics not shown" in html.text("section", id="curves")


def test_samples_are_bounded_and_what_is_left_out_is_counted() -> None:
    events = [
        ev.Sample(name="greedy", epoch=e, step=e, prompt=f"prompt {p}", text="y" * 4000)
        for e in range(1, 51)
        for p in range(40)
    ]
    html = Page(page(subject(Run(events=tuple(events)), verdict("finite"))))
    assert len(html.all("details", class_="sample")) == 12
    assert f"{40 * 50 - 12 * 8:,} more samples not shown" in html.text("section", id="samples")
    assert len(html.text("section", id="samples")) < 60_000


# -- files -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("[]", "expected an object"),
        ("{", "expected an object"),
        ("[" * 100_000, "expected an object"),
        ('{"verdicts": 3}', "expected an object"),
        ('{"verdicts": [3]}', "expected an object"),
        ('{"verdicts": [{"check": "a", "status": "fine"}]}', "a.status: expected one of passed"),
        ('{"verdicts": [{"status": "passed"}]}', "expected the name of a check"),
        (json.dumps({"verdicts": [{"check": "a", "status": "passed"}] * 2001}), "at most 2,000 verdicts, got 2,001"),
    ],
)
def test_verdicts_that_cannot_be_used_are_one_clear_error(tmp_path: Path, body: str, says: str) -> None:
    (tmp_path / "verdicts.json").write_text(body)
    with pytest.raises(InputError, match=r"verdicts\.json") as caught:
        recorded_rows(tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_verdicts_without_end_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "verdicts.json").open("wb") as file:
        file.truncate(20 << 20)
    with pytest.raises(InputError, match="expected at most 16,777,216 bytes"):
        recorded_rows(tmp_path)


def test_wrong_types_in_a_verdict_are_left_out_and_not_guessed(tmp_path: Path) -> None:
    body = {"check": "a", "status": "failed", "epoch": "1", "step": True, "margin": "NaN", "measured": "NaN"}
    (tmp_path / "verdicts.json").write_text(json.dumps({"verdicts": [body | {"evidence": 7, "asked": 3}]}))
    ((row),) = recorded_rows(tmp_path) or ()
    assert (row.epoch, row.step, row.evidence, row.asked) == (None, None, (), None)
    assert math.isnan(row.measured)  # type: ignore[arg-type]
    assert row.bad


def test_a_check_that_should_have_failed_and_passed_is_a_failure(tmp_path: Path) -> None:
    body = {"verdicts": [verdict("a", "passed", expected_failure=True), verdict("b", "failed", expected_failure=True)]}
    (tmp_path / "verdicts.json").write_text(json.dumps(body))
    first, second = recorded_rows(tmp_path) or ()
    assert first.bad
    assert "expects this check to fail" in first.evidence[0]
    assert not second.bad


def test_names_of_a_run_lead_to_no_file_outside_the_references(monkeypatch: pytest.MonkeyPatch) -> None:
    from lvmcheck.report.html import settings

    monkeypatch.setattr(settings, "find", lambda *names: pytest.fail(f"looked for {names}"))
    for suite in ("../../etc", "/etc", "a//b", "."):
        assert settings.references_of([subject(whole_run(suite=suite), verdict("finite"))]) == ({}, [])


# -- the command -------------------------------------------------------------------------------------------------------
ROOT = Path(__file__).parents[2]


def test_the_command_writes_one_file_and_says_how_large(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new" / "report.html"
    runs = [str(ROOT / "fixtures" / "runs" / name) for name in ("gru_80k", "lstm_80k")]
    assert main(["report", *runs, "-o", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}: 2 runs, {target.stat().st_size:,} bytes\n"
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]
    assert len(Page(target.read_text()).all("article", class_="place")) == 2


def test_a_folder_of_run_directories_stands_for_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import lvmcheck

    for name in ("a", "b"):
        with lvmcheck.record(tmp_path / "runs" / name) as rec:
            rec.epoch(1, val_loss=1.0)
    assert main(["report", str(tmp_path / "runs"), "-o", str(tmp_path / "r.html")]) == 0
    assert "2 runs" in capsys.readouterr().out


@pytest.mark.own_process
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["report", "nowhere"], "expected a recorded run, got nothing"),
        (["report", "fixtures/runs/gru_80k", "-o", "docs"], "expected a file to write the report to, got a folder"),
        (["report", "fixtures/runs/gru_80k", "-o", "README.md/x.html"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(words) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_verdicts_beside_a_run_are_taken_as_they_are(tmp_path: Path) -> None:
    import lvmcheck

    with lvmcheck.record(tmp_path / "run") as rec:
        rec.epoch(1, val_loss=1.0)
    (tmp_path / "run" / "verdicts.json").write_text(json.dumps({"verdicts": [verdict("mine", "failed")]}))
    assert [row.check for row in subject_of(lvmcheck.load(tmp_path / "run")).rows] == ["mine"]
