"""What comes from outside: markup in every text, huge histories, broken files. The page stays a page, and bounded."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvmcheck.checks.bounds import abort, floor
from lvmcheck.checks.finding import Asked, Status, Verdict, Why, facts
from lvmcheck.checks.verdict_json import verdict_json
from lvmcheck.commands.main import main
from lvmcheck.errors import InputError
from lvmcheck.report.html.report_run import report_run
from lvmcheck.report.html.thinning import LEAST, MOST, POINTS, points_a_curve, thinned
from lvmcheck.report.recorded import recorded_verdicts
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from
from lvmcheck.text.fit import clean
from suites.report.report_kit import Page, epochs, finding, page, report_of, verdict, whole_run

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


def hostile_verdicts() -> list[Verdict]:
    script = Asked(file="javascript:alert(1)", line=3)
    evidence = facts({BAD: ATTRIBUTE, ATTRIBUTE: BAD})
    failed = finding(code=CLOSE, metric=None, evidence=evidence, unit=BAD)
    passed = finding(measured=ATTRIBUTE, bounds=(floor(0.5, BAD),))
    return [
        verdict(BAD, Status.FAILED, failed, source=BAD, asked=script),
        verdict(CLOSE, found=passed, asked=Asked(file=ATTRIBUTE, line=1)),
        verdict(ATTRIBUTE, Status.NOT_APPLICABLE, why=Why.OTHER, reason=BAD),
    ]


def test_markup_from_outside_stays_text() -> None:
    html = Page(page(report_of(hostile_run(), *hostile_verdicts(), label=BAD)))
    assert len(html.all("script")) == 2, "the figures and the script of the page"
    for tag, attributes, _ in html.elements:
        assert tag != "img"
        assert not any(name.startswith("on") for name in attributes), attributes
        assert not attributes.get("href", "").startswith("javascript")
    shown = html.text("body")
    assert shown.count(BAD) >= 10, "shown as it is, not swallowed"
    assert json.loads(html.text("script", type="application/json"))["runs"] == [BAD]


def test_control_signs_and_overrides_do_not_reach_the_page() -> None:
    assert clean("a\x00b\x1b[31mc\u202ed\ud800") == r"a\x00b\x1b[31mc\u202ed\ud800"
    assert clean("two\n\tlines") == "two\n\tlines"
    assert clean("x" * 1000, 10) == "x" * 10 + " … (1,000 characters)"
    run = run_from({"v\x1b[2J\x00": [1.0]})
    html = page(report_of(run))
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
    html = page(report_of(run_from({"val_loss": values})))
    assert len(html) < 300_000
    assert "77" in html
    assert f"Curves of up to 50,000 points are thinned to at most {MOST:,}" in html


def test_ten_thousand_metrics_are_a_page_with_a_hundred() -> None:
    run = Run(events=tuple(epochs({f"m{i}": [1.0, 2.0] for i in range(10_000)})))
    html = Page(page(report_of(run, verdict("finite"))))
    assert len(html.all("figure")) == 100
    assert "9,900 more metrics not shown" in html.text("section", id="curves")


def test_samples_are_bounded_and_what_is_left_out_is_counted() -> None:
    events = [
        ev.Sample(name="greedy", epoch=e, step=e, prompt=f"prompt {p}", text="y" * 4000)
        for e in range(1, 51)
        for p in range(40)
    ]
    html = Page(page(report_of(Run(events=tuple(events)), verdict("finite"))))
    assert len(html.all("details", class_="sample")) == 12
    assert f"{40 * 50 - 12 * 8:,} more samples not shown" in html.text("section", id="samples")
    assert len(html.text("section", id="samples")) < 60_000


def edited(change: Callable[[Any], object]) -> str:
    """``verdicts.json`` with one verdict, and a change made to it by hand."""
    body = verdict_json(verdict("a"))
    change(body)
    return json.dumps({"verdicts": [body]})


# -- files -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("[]", "expected an object"),
        ("{", "expected an object"),
        ("[" * 100_000, "expected an object"),
        ('{"verdicts": 3}', "expected an object"),
        ('{"verdicts": [3]}', "expected an object"),
        (edited(lambda body: body["outcome"].update(status="fine")), "outcome.status: Input should be 'passed'"),
        (edited(lambda body: body.pop("name")), "verdict 1: name: Field required"),
        (edited(lambda body: body["outcome"]["finding"].update(epoch="1")), "outcome.finding.epoch: Input should be"),
        (edited(lambda body: body["outcome"]["finding"].update(evidence=7)), "outcome.finding.evidence: Input"),
        (edited(lambda body: body["outcome"]["finding"].update(phrase="{measured:>999999999}")), "expected a phrase"),
        (edited(lambda body: body["outcome"]["finding"].update(phrase="{measured.__class__}")), "expected a phrase"),
        (edited(lambda body: body["outcome"]["finding"].update(phrase="{nothing}")), "expected a phrase"),
        (json.dumps({"verdicts": [{}] * 2001}), "at most 2,000 verdicts, got 2,001"),
    ],
)
def test_verdicts_that_cannot_be_used_are_one_clear_error(tmp_path: Path, body: str, says: str) -> None:
    (tmp_path / "verdicts.json").write_text(body)
    with pytest.raises(InputError, match=r"verdicts\.json") as caught:
        recorded_verdicts(tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_verdicts_without_end_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "verdicts.json").open("wb") as file:
        file.truncate(20 << 20)
    with pytest.raises(InputError, match="expected at most 16,777,216 bytes"):
        recorded_verdicts(tmp_path)


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    found = finding(
        measured=math.inf, bounds=(floor(0.1 + 0.2), abort(1e-300)), evidence=facts(a=math.inf, b=None, c=3)
    )
    written = (verdict("a", Status.FAILED, found, seed=3, abort=True), verdict("b", why=Why.NOT_NEEDED, reason="x"))
    (tmp_path / "verdicts.json").write_text(json.dumps({"verdicts": [verdict_json(it) for it in written]}))
    assert recorded_verdicts(tmp_path) == written
    nan = verdict("nan", Status.FAILED, finding(measured=math.nan))
    (tmp_path / "verdicts.json").write_text(json.dumps({"verdicts": [verdict_json(nan)]}))
    ((again),) = recorded_verdicts(tmp_path) or ()
    assert again.finding is not None
    assert math.isnan(again.finding.number)


def test_names_of_a_run_lead_to_no_file_outside_the_references(monkeypatch: pytest.MonkeyPatch) -> None:
    from lvmcheck.report.html import settings

    monkeypatch.setattr(settings, "find", lambda *names: pytest.fail(f"looked for {names}"))
    for suite in ("../../etc", "/etc", "a//b", "."):
        assert settings.references_of([report_of(whole_run(suite=suite), verdict("finite"))]) == ({}, [])


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
    (tmp_path / "runs" / "a.lock").touch()
    assert main(["report", *map(str, (tmp_path / "runs").iterdir()), "-o", str(tmp_path / "r.html")]) == 0
    assert main(["report", str(tmp_path / "runs"), "-o", str(tmp_path / "r.html")]) == 0
    assert "2 runs" in capsys.readouterr().out
    page = Page((tmp_path / "r.html").read_text())
    folded = page.text("details", id="silent-1")
    assert "missing_from_optimizer" in folded, "nobody asked for it, and nothing was recorded that it could judge"
    assert "run_completed" not in folded


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
    mine = verdict("mine", Status.FAILED)
    (tmp_path / "run" / "verdicts.json").write_text(json.dumps({"verdicts": [verdict_json(mine)]}))
    assert report_run(lvmcheck.load(tmp_path / "run")).verdicts == (mine,)
