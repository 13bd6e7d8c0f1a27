"""The report in a real browser: nothing on its console, read by keyboard, by screen readers and on a phone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Status
from lvmcheck.errors import InputError
from suites.report.browser import INSTALL, Browser, find_browser
from suites.report.report_kit import finding, many, page, report_of, verdict, whole_run
from suites.report.screenshots import SETTLED, VIEWS, pictures
from suites.report.test_report_hostile import hostile_run, hostile_verdicts

pytestmark = pytest.mark.skipif(find_browser() is None, reason=f"no Chrome or Chromium is installed: {INSTALL}")
AXE = Path(__file__).with_name("axe.min.js")
FLOOR = "cosine_floor[val_cosine@final]"
PLOT = "document.querySelector('[data-figure=metric-0] .plot')"
READOUT = "document.querySelector('[data-figure=metric-0] .readout').textContent"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        found = Browser()
    except InputError as problem:
        if "LVMCHECK_BROWSER" in os.environ:
            raise  # somebody named it: it should work
        pytest.skip(f"no browser starts here ({problem}): {INSTALL}")
    with found:
        yield found


@pytest.fixture(autouse=True)
def desktop(browser: Browser) -> Iterator[None]:
    """A large light window; afterwards the console must be silent."""
    browser.size(1280, 900)
    browser.colours("light")
    browser.said.clear()
    yield
    assert browser.said == []


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds with everything, with a failure."""
    bad = verdict("cosine_floor[val_cosine@1]", Status.FAILED, finding(measured=0.5, epoch=1, bounds=(floor(0.6),)))
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(report_of(whole_run(0), verdict(FLOOR), bad), report_of(whole_run(1), verdict(FLOOR))))
    return path


def painted(browser: Browser, plot: str = PLOT) -> int:
    """Pixels of a plot that are not the ground."""
    script = (
        f"(() => {{ const c = {plot}.querySelector('canvas'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4)"
        " n += d[i] > 0; return n; })()"
    )
    return int(browser.run(script))


def violations(browser: Browser) -> list[str]:
    """What axe-core finds wrong: rules and the first element of each."""
    browser.run(AXE.read_text() + "; true")
    found: list[dict[str, Any]] = browser.run(
        "axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', "
        "'wcag22aa', 'best-practice']}).then(r => r.violations.map(v => ({id: v.id, at: v.nodes[0].html, "
        "why: v.nodes[0].failureSummary})))"
    )
    return [f"{it['id']}: {it['at'][:200]} {it['why']}" for it in found]


def test_plots_are_drawn(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.run(SETTLED)
    assert painted(browser) > 500
    assert browser.run(READOUT) == "lastseed0 0.57seed1 0.57"


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(browser: Browser, report: Path, colours: str, width: int) -> None:
    browser.colours(colours)
    browser.size(width, 900, phone=width < 500)
    browser.open(report)
    browser.run("document.querySelectorAll('details').forEach(it => { it.open = true; }); true")
    browser.run(SETTLED)
    assert violations(browser) == []


@pytest.mark.parametrize("width", [320, 360, 700, 1280])
def test_no_page_scrolls_sideways(browser: Browser, tmp_path: Path, report: Path, width: int) -> None:
    hostile = tmp_path / "hostile.html"
    hostile.write_text(page(report_of(hostile_run(), *hostile_verdicts(), label="x" * 80)))
    wide = tmp_path / "wide.html"
    wide.write_text(page(*many(20, 3, 2)))
    for path in (report, hostile, wide):
        browser.size(width, 900, phone=width < 500)
        browser.open(path)
        browser.run("document.querySelectorAll('details').forEach(it => { it.open = true; }); true")
        browser.run(SETTLED)
        assert browser.run("document.documentElement.scrollWidth") <= width, path.name


def test_markup_from_outside_never_runs(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(page(report_of(hostile_run(), *hostile_verdicts())))
    browser.open(path)
    browser.run("document.querySelectorAll('details').forEach(it => { it.open = true; }); true")
    browser.run(SETTLED)
    assert browser.run("document.images.length + document.querySelectorAll('iframe').length") == 0
    assert browser.run("document.scripts.length") == 2


def test_the_policy_stops_a_script_that_is_not_the_page_s(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "planted.html"
    html = page(report_of(whole_run(), verdict(FLOOR)))
    path.write_text(html.replace("<main>", "<main><script>document.documentElement.dataset.planted = 1</script>"))
    browser.open(path)
    assert browser.run("document.documentElement.dataset.planted") is None
    assert any("Content Security Policy" in line for line in browser.said)
    browser.said.clear()


def test_what_is_printed_has_every_curve(browser: Browser, report: Path) -> None:
    browser.open(report)
    drawn = "document.querySelectorAll('.plot canvas').length"
    every = browser.run("document.querySelectorAll('.plot').length")
    assert browser.run(drawn) < every, "the last one is far below the window"
    browser.call("Page.printToPDF")
    assert browser.run(drawn) == every


def test_values_are_read_with_the_keyboard(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.run(f"{PLOT}.focus(); true")
    browser.press("Home")
    assert "epoch 1" in browser.run(READOUT)
    assert "seed0 0.5" in browser.run(READOUT)
    browser.press("ArrowRight")
    assert "epoch 2" in browser.run(READOUT)
    browser.press("End")
    assert "epoch 3" in browser.run(READOUT)


def test_tab_reaches_every_control_and_none_is_a_trap(browser: Browser, report: Path) -> None:
    browser.open(report)
    seen = []
    for _ in range(200):
        browser.press("Tab")
        at = "(it => it === document.body ? '' : it.tagName + '.' + (it.id || it.className || it.dataset.run || ''))"
        seen.append(browser.run(f"{at}(document.activeElement)"))
        if seen[-1] == "":
            break
    assert seen[0] == "A.skip"
    assert {"BUTTON.theme", "INPUT.0", "INPUT.1", "DIV.plot"} <= set(seen)
    assert seen[-1] == "", "the last control leads out of the page"


def test_a_run_that_is_unchecked_leaves_every_figure(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.run("document.querySelector('input[data-run=\"1\"]').focus(); true")
    browser.press(" ")
    assert "seed0" in browser.run(READOUT)
    assert "seed1" not in browser.run(READOUT)


def test_the_switch_changes_the_colours_and_the_curves(browser: Browser, report: Path) -> None:
    browser.open(report)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert browser.run(ground) == "rgb(255, 255, 255)"
    browser.run("document.getElementById('theme').click(); true")
    assert browser.run(ground) == "rgb(20, 24, 29)"
    assert browser.run("document.getElementById('theme').textContent") == "Light colours"
    browser.run(SETTLED)
    assert painted(browser) > 500


def test_every_curve_is_also_a_table(browser: Browser, report: Path) -> None:
    browser.open(report)
    browser.run("document.querySelectorAll('details.values').forEach(it => { it.open = true; }); true")
    browser.run(SETTLED)
    figures = browser.run("document.querySelectorAll('figure').length")
    assert figures == browser.run("document.querySelectorAll('figure details.values table').length") > 5
    lines = "[...document.querySelectorAll('[data-figure=metric-0] table tr')]"
    rows = browser.run(f"{lines}.map(line => [...line.cells].map(cell => cell.textContent))")
    assert rows == [["epoch", "seed0", "seed1"], ["1", "0.5", "0.5"], ["2", "0.52", "0.52"], ["3", "0.57", "0.57"]]


def test_without_scripts_everything_but_the_curves_is_there(browser: Browser, report: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(report, drawn=False)
        body = browser.run("document.body.innerText")
        assert "(floor 0.6)" in body
        assert "The curves need JavaScript" in body
        assert browser.run("document.querySelectorAll('canvas').length") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_thirty_runs_of_a_thousand_epochs_open_in_two_seconds(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "many.html"
    path.write_text(page(*many()))
    seconds = []
    for _ in range(3):
        browser.open(path)
        browser.run(SETTLED)
        seconds.append(float(browser.run("document.documentElement.dataset.drawn")) / 1000)
        if seconds[-1] < 2:
            break
    assert min(seconds) < 2, seconds
    assert painted(browser) > 5000


def test_pictures_of_every_view(browser: Browser, report: Path, tmp_path: Path) -> None:
    written = pictures(browser, report, tmp_path)
    assert [path.name for path in written] == [f"{view.name}.png" for view in VIEWS]
    for path, view in zip(written, VIEWS, strict=True):
        header = path.read_bytes()[:24]
        assert header[:8] == b"\x89PNG\r\n\x1a\n"
        width = int.from_bytes(header[16:20], "big")
        assert width == view.width * view.scale
        assert path.stat().st_size > 10_000, "a blank page is far smaller"


def test_the_figures_of_the_page_are_those_of_its_data(browser: Browser, report: Path) -> None:
    browser.open(report)
    data = json.loads(browser.run("document.getElementById('drawn').textContent"))
    drawn = browser.run("document.querySelectorAll('figure').length")
    assert drawn == len(data["figures"])
