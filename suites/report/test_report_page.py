"""What stands on the page of a report, read back from its HTML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.checks.bounds import abort, floor
from lvmcheck.checks.finding import Asked, Status, Why, facts
from lvmcheck.report.html import page as pages
from lvmcheck.report.html.colours import palette
from lvmcheck.report.html.figures import first_lost
from lvmcheck.report.html.report_run import Extra
from lvmcheck.run import events as ev
from lvmcheck.run.directory import load
from lvmcheck.run.view import Run, run_from
from suites.report.report_kit import FACTS, Page, epochs, finding, many, page, report_of, verdict, whole_run

ROOT = Path(__file__).parents[2]
FLOOR = "cosine_floor[val_cosine@final]"


@pytest.fixture(scope="module")
def whole() -> Page:
    """Two seeds with everything, one check passed and one failed."""
    bounds = (floor(0.6123456789), abort(0.51))
    found = finding(measured=0.5, epoch=1, bounds=bounds, evidence=facts(constant_mean=0.483))
    asked = Asked(file="suites/amn_790k/suite.toml", line=38)
    bad = verdict("cosine_floor[val_cosine@1]", Status.FAILED, found, asked=asked, abort=True)
    return Page(page(report_of(whole_run(0), verdict(FLOOR), bad), report_of(whole_run(1), verdict(FLOOR))))


def drawn(html: Page) -> dict[str, Any]:
    body = json.loads(html.text("script", type="application/json"))
    assert isinstance(body, dict)
    return body


def figure(html: Page, title: str) -> dict[str, Any]:
    (found,) = [it for it in drawn(html)["figures"] if it["title"] == title]
    assert isinstance(found, dict)
    return found


def test_causes_come_first_and_every_part_has_a_place(whole: Page) -> None:
    sections = [attributes["id"] for attributes, _ in whole.all("section")]
    assert sections == [
        "causes", "verdicts", "curves", "loss", "data", "halting", "samples", "speed", "config", "runs",
    ]  # fmt: skip
    assert [attributes["href"] for attributes, _ in whole.all("a") if attributes["href"].startswith("#")][1:] == [
        f"#{name}" for name in sections
    ]


def test_the_verdict_table_has_a_row_a_check_and_a_column_a_seed(whole: Page) -> None:
    table = whole.text("table", class_="verdicts")
    assert table.startswith("check seed0 seed1 required required by")
    assert "✓ passed 0.5700" in table
    assert "✗ failed 0.5000" in table
    assert "1 failed" in whole.text("ul", class_="counts")
    assert "2 passed" in whole.text("ul", class_="counts")


def test_a_failure_shows_measured_bounds_evidence_and_that_it_stopped_the_run(whole: Page) -> None:
    shown = whole.text("ul", class_="failures")
    for part in ("0.5000", "epoch 1", "0.612346", "constant mean 0.4830", "stopped the run"):
        assert part in shown
    assert "suites/amn_790k/suite.toml:38" in shown


def test_curves_carry_floors_baselines_and_stages(whole: Page) -> None:
    curve = figure(whole, "val cosine")
    assert [it["y"] for it in curve["curves"]] == [[0.5, 0.52, 0.57]] * 2
    floors = [(it["y"], it["x"]) for it in curve["levels"] if it["kind"] == "floor"]
    assert floors == [(0.55, 3), (0.6123456789, 1)], "in full precision"
    baselines = [it["y"] for it in curve["levels"] if it["kind"] == "baseline"]
    assert baselines == [FACTS["constant_mean"], FACTS["mean_of_context"], FACTS["optimum"]]
    assert [(it["kind"], it["x"]) for it in curve["marks"]] == [("stage", 0.5), ("stage", 2.5)]
    assert [(it["y"], it["x"]) for it in curve["levels"] if it["kind"] == "abort"] == [(0.51, 1)]
    keys = " ".join(text for _, text in whole.all("ul", class_="keys"))
    assert "abort 0.5100 at epoch 1" in keys
    assert "a floor 0.5500 at epoch 3" in keys
    assert "stage hard" in keys
    assert "optimum 0.6360" in keys
    assert not figure(whole, "val loss")["levels"]


def test_only_bounds_of_the_metric_that_a_suite_sets_are_drawn() -> None:
    own = verdict("val_cosine_is_high", found=finding(bounds=(floor(0.9528),)), asked=None)
    other = verdict("other", found=finding(metric="train_cosine", bounds=(floor(0.4),)))
    html = Page(page(report_of(whole_run(), own, other)))
    assert [it for it in figure(html, "val cosine")["levels"] if it["kind"] != "baseline"] == []


def test_baselines_of_different_data_are_different_lines() -> None:
    runs = []
    for seed, mean in enumerate((0.483, 0.484, 0.3)):
        data = ev.Data(name="corpus", fingerprint=str(seed), facts={"constant_mean": mean})
        events = (data, *epochs({"val_cosine": [0.5, 0.6]}))
        runs.append(report_of(Run(events=events, info={"seed": seed}), verdict(FLOOR)))
    html = Page(page(*runs))
    assert [round(it["y"], 4) for it in figure(html, "val cosine")["levels"] if it["kind"] == "baseline"] == [
        0.3,
        0.4835,
    ]
    assert "constant mean 0.3000 (seed2)" in html.text("ul", class_="keys")
    assert "constant mean 0.4830 to 0.4840 (seed0, seed1)" in html.text("ul", class_="keys")


def test_terms_hold_shares_of_the_loss_and_of_the_gradient(whole: Page) -> None:
    assert figure(whole, "share of the loss: info nce")["curves"][0]["y"] == [0.9] * 3
    assert figure(whole, "share of the gradient norms: mse")["curves"][1]["y"] == [0.25] * 3


def test_one_run_has_all_its_terms_in_one_figure() -> None:
    html = Page(page(report_of(whole_run(), verdict(FLOOR))))
    assert [it["name"] for it in figure(html, "share of the loss by term")["curves"]] == ["mse", "info nce"]


def test_data_halting_samples_throughput_and_config_are_told(whole: Page) -> None:
    assert figure(whole, "cosine by lag, validation")["curves"][0]["y"] == FACTS["gate.validation.lag_profile"]
    assert (
        "rows 21,495 4,325" in whole.text("table", class_="facts")
        if len(whole.all("table", class_="facts")) == 1
        else (any("rows 21,495 4,325" in text for _, text in whole.all("table", class_="facts")))
    )
    bars = whole.all("table", class_="bars")[0][1]
    assert "seed0, 500 tokens steps epoch 1 epoch 3 1 25.0 % 25.0 % 2 75.0 % 55.0 % 3 0.0 % 20.0 %" in bars
    sample = whole.all("details", class_="sample")[0][1]
    assert "Q: 2 + 2 A: right answer: 4 · from sums" in sample
    assert "1 2 2 3 3 ✓ right: 4" in sample
    assert figure(whole, "samples a second (mean of a window)")["curves"][0]["y"] == [640] * 3
    assert "lr 0.001" in whole.text("table", class_="config")
    assert "run finished at epoch 3 of 3" in whole.all("article", class_="place")[0][1]


def test_the_cause_of_a_recorded_failure_is_the_one_that_diagnose_names() -> None:
    from lvmcheck.causes.protocol import diagnose
    from lvmcheck.causes.wording import STANDINGS, diagnosis_evidence

    run = load(ROOT / "fixtures" / "runs" / "amn_790k_attempt_2")
    shown = report_of(run)
    (first, *_) = diagnose(run, shown.verdicts)
    html = Page(page(shown))
    cause = html.all("article", class_="cause")[0][1]
    assert cause.startswith(STANDINGS[first.standing])
    assert all(" ".join(line.split()) in cause for line in diagnosis_evidence(first))
    assert first.next in cause
    assert "judged now: the universal checks" in html.all("section", id="verdicts")[0][1]


def test_settings_that_differ_come_first_with_the_runs_that_have_them() -> None:
    runs = [whole_run(seed, config={"epochs": 3, "lr": lr}) for seed, lr in enumerate((0.1, 0.2))]
    html = Page(page(*(report_of(run, verdict(FLOOR)) for run in runs)))
    first = html.all("tr", class_="differs")
    assert [text for _, text in first] == ["lr 0.1 seed0 0.2 seed1"]


@pytest.mark.own_process
def test_a_reference_gives_a_band_and_the_settings_that_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lvmcheck.statistics.reference_file import Reference, dumps, place

    rows = dict.fromkeys((1, 2, 3), (0.5, 0.52, 0.54))
    about: dict[str, str] = {
        "suite": "sums",
        "profile": "smoke",
        "device": "cpu",
        "when": "2026-01-01",
        "reason": "first",
    }
    made = Reference(seeds=(0, 1, 2), config={"lr": 0.5, "epochs": 3}, metrics={"val_cosine": rows}, **about)  # type: ignore[arg-type]
    target = place(tmp_path, "sums", "smoke", "cpu")
    target.parent.mkdir(parents=True)
    target.write_text(dumps(made))
    monkeypatch.chdir(tmp_path)
    html = Page(page(report_of(whole_run(), verdict(FLOOR))))
    (band,) = figure(html, "val cosine")["bands"]
    assert band["low"][0] < 0.5 < 0.52 < 0.54 < band["high"][0]
    assert round((band["low"][0] + band["high"][0]) / 2, 4) == 0.52
    assert "lr 0.001 0.5" in html.text("table", class_="config")
    assert "reference of sums: 3 seeds" in html.all("figure")[0][1]
    target.write_text(dumps(made).replace("0.52, 0.02,", "0.53, 0.02,"))
    assert "edited by hand" in Page(page(report_of(whole_run(), verdict(FLOOR)))).all("p", class_="problem")[0][1]


def test_a_check_is_linked_to_its_line(tmp_path: Path) -> None:
    row = verdict(FLOOR, asked=Asked(file="suites/amn_790k/suite.toml", line=38))
    html = Page(page(report_of(whole_run(), row), folder=ROOT / "docs"))
    assert html.all("a", class_="where")[0][0]["href"] == "../suites/amn_790k/suite.toml#L38"
    forge = {"GITHUB_SERVER_URL": "https://git.example", "GITHUB_REPOSITORY": "a/b", "GITHUB_SHA": "123"}
    html = Page(page(report_of(whole_run(), row), folder=tmp_path, environ=forge))
    assert (
        html.all("a", class_="where")[0][0]["href"] == "https://git.example/a/b/blob/123/suites/amn_790k/suite.toml#L38"
    )
    gone = Page(page(report_of(whole_run(), verdict(FLOOR, asked=Asked(file="suites/gone/suite.toml", line=1)))))
    assert gone.all("a", class_="where") == []
    assert "suite.toml:1" in gone.text("table", class_="verdicts")


def test_a_stop_is_marked_where_it_was_and_the_rest_is_not_reached() -> None:
    run = Run(
        events=whole_run().events[:-1], info=whole_run().info, done={"status": "stopped", "reason": "loss_balance"}
    )
    late = verdict(FLOOR, Status.FAILED, why=Why.NOT_REACHED, reason="not reached", awaits="epoch 20")
    html = Page(page(report_of(run, verdict("loss_balance", Status.FAILED, abort=True), late)))
    assert [(it["kind"]) for it in figure(html, "val cosine")["marks"]][-1] == "abort"
    assert "1 check of seed0 not reached: run stopped at epoch" in html.text("ul", class_="failures")
    assert "1 not reached" in html.text("ul", class_="counts")


def test_a_failure_that_a_suite_expects_is_no_alarm() -> None:
    html = Page(page(report_of(whole_run(), verdict(FLOOR, found=finding(measured=0.1), expected_failure=True))))
    assert html.all("ul", class_="failures") == []
    assert "1 failed as expected" in html.text("ul", class_="counts")


def test_what_all_seeds_answer_together_has_a_column_of_its_own() -> None:
    shown = report_of(whole_run(), verdict(FLOOR))
    extra = Extra(label="seeds", suite="sums", verdicts=(verdict("across", Status.FAILED),))
    html = Page(page(shown, extras=[extra]))
    assert html.text("table", class_="verdicts").startswith("check seed0 seeds required")
    assert "across seeds" in html.text("ul", class_="failures")


# -- what is missing ---------------------------------------------------------------------------------------------------
def test_a_run_with_nothing_but_epochs_has_curves_and_no_empty_parts() -> None:
    html = Page(page(report_of(run_from({"val_loss": [2.0, 1.5, 1.2]}))))
    assert [attributes["id"] for attributes, _ in html.all("section")] == ["causes", "verdicts", "curves", "runs"]
    assert figure(html, "val loss")["curves"][0]["y"] == [2, 1.5, 1.2]


@pytest.mark.parametrize("run", [Run(), Run(death="killed"), Run(info={"seed": "x", "config": 3, "versions": []})])
def test_a_run_that_said_nothing_still_has_a_page(run: Run) -> None:
    html = Page(page(report_of(run)))
    assert "curves" not in [attributes["id"] for attributes, _ in html.all("section")]
    assert "passed" not in html.text("ul", class_="counts"), "a run without data has passed nothing"


def test_one_epoch_is_one_point() -> None:
    html = Page(page(report_of(run_from({"val_loss": [2.0]}))))
    assert figure(html, "val loss")["curves"][0]["y"] == [2]
    assert "run 2" in html.text("p", class_="summary")


def test_nan_is_a_gap_with_a_mark_and_never_a_number() -> None:
    run = run_from({"val_loss": [2.0, float("nan"), float("inf"), 1.0]})
    html = Page(page(report_of(run)))
    curve = figure(html, "val loss")
    assert curve["curves"][0]["y"] == [2, None, None, 1]
    assert [(it["kind"], it["x"]) for it in curve["marks"]] == [("lost", 2)]
    assert "not finite: run" in html.text("ul", class_="keys")
    assert first_lost(()) == ()


def test_a_wide_range_is_drawn_on_a_logarithmic_scale_unless_it_crosses_zero() -> None:
    assert figure(Page(page(report_of(run_from({"v": [100.0, 0.1]})))), "v")["log"] is True
    assert figure(Page(page(report_of(run_from({"v": [100.0, -0.1]})))), "v")["log"] is False


def test_a_share_keeps_its_scale() -> None:
    terms = {"a": ev.Term(weight=1.0, mean=1000.0), "b": ev.Term(weight=1.0, mean=0.001)}
    loss = {"loss_mean": 1.0, "loss_min": 1.0, "loss_max": 1.0}
    windows = [ev.Window(epoch=1, first_step=i, last_step=i, terms=terms, **loss) for i in (1, 2)]
    html = Page(page(report_of(Run(events=tuple(windows)), verdict("finite"))))
    share = figure(html, "share of the loss by term")
    assert (share["log"], share["y"]) == (False, [0, 1])


def test_runs_of_one_label_are_told_apart() -> None:
    html = Page(page(report_of(whole_run(), verdict(FLOOR)), report_of(whole_run(), verdict(FLOOR))))
    assert drawn(html)["runs"] == ["seed0 (1)", "seed0 (2)"]
    other = whole_run(suite="known/other")
    html = Page(page(report_of(whole_run(), verdict(FLOOR)), report_of(other, verdict(FLOOR))))
    assert drawn(html)["runs"] == ["sums seed0", "other seed0"]
    assert len(html.all("table", class_="verdicts")) == 2


def test_a_metric_that_only_one_run_has_is_drawn_for_that_run() -> None:
    more = Run(events=tuple(epochs({"own": [1.0, 2.0]})), info={"seed": 1})
    html = Page(page(report_of(whole_run(), verdict(FLOOR)), report_of(more, verdict(FLOOR))))
    assert [it["run"] for it in figure(html, "own")["curves"]] == [1]


# -- the file ----------------------------------------------------------------------------------------------------------
def test_the_page_needs_nothing_from_anywhere(whole: Page) -> None:
    for tag, attributes, _ in whole.elements:
        assert tag not in ("img", "link", "iframe", "object", "embed"), tag
        assert "src" not in attributes
        assert not attributes.get("href", "").startswith(("http:", "https:", "//", "javascript:"))
    assert "url(" not in whole.text("style")
    policy = next(a["content"] for a, _ in whole.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe-inline' 'sha" not in policy


def test_the_policy_allows_the_script_of_the_page_and_no_other() -> None:
    html = page(report_of(whole_run(), verdict(FLOOR)))
    script = html.rpartition("<script>")[2].partition("</script>")[0]
    assert f"script-src '{pages.digest(script)}'" in html


def test_three_seeds_are_far_below_two_megabytes() -> None:
    assert len(page(*many(3, 20))) < 250_000


def test_colours_are_distinct_and_stand_out_from_the_ground() -> None:
    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for dark, ground in ((False, "#ffffff"), (True, "#14181d")):
        colours = palette(30, dark=dark)
        assert len(set(colours)) == 30
        for colour in colours:
            low, high = sorted((luminance(colour), luminance(ground)))
            assert (high + 0.05) / (low + 0.05) >= 3, f"{colour} on {ground}"
