"""Progress and verdicts in a terminal: side by side, within any width, without colours where none are wanted."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvmcheck.checks.bounds import floor
from lvmcheck.report import terminal
from lvmcheck.report.progress import BLOCKS, sparkline
from lvmcheck.report.side_by_side import MOST, Lane, table
from lvmcheck.run.view import Run
from suites.lvmcheck.plugin_kit.project import CHECKS, OPTIONS, Project
from suites.report.report_kit import epochs, finding, verdict

HIDING = ("CI", "NO_COLOR", "PY_COLORS", "FORCE_COLOR", "COLUMNS", "LINES", "GITHUB_ACTIONS")
"""Variables that change what a terminal is sent."""


def lane(seed: int, ended: int, state: str = "", planned: int = 20) -> Lane:
    """A run after ``ended`` epochs."""
    values = [0.5 + 0.1 * math.log1p(i) for i in range(ended)]
    metrics = {"train_cosine": values, "val_cosine": values}
    events = tuple(epochs(metrics, seconds=3.0, samples_per_second=2100.0)) if ended else ()
    return Lane(label=f"seed{seed}", run=Run(events=events, info={"config": {"epochs": planned}}), state=state)


def test_columns_of_all_runs_start_at_the_same_place() -> None:
    first, second, third = table([lane(0, 4), lane(1, 12), lane(2, 0, "waiting")], 120)
    assert first == "  seed0  ▁▅▇█          epoch 4/20   train .6386  val .6386  2.1k/s  48 s left"
    assert [match.start() for match in re.finditer("epoch|train|val|2.1k|s left", second)] == [
        match.start() for match in re.finditer("epoch|train|val|2.1k|s left", first)
    ]
    assert third == "  seed2                waiting"


def test_a_narrow_terminal_loses_what_matters_least() -> None:
    lanes = [lane(0, 20), lane(1, 12, "stopped by loss_balance")]
    wide, middle, narrow = (table(lanes, width)[1] for width in (120, 80, 60))
    assert "2.1k/s" in wide
    assert "2.1k/s" not in middle
    assert "val" in narrow
    assert "stopped by loss_balance" in narrow
    assert "▁" not in narrow


LANES = st.tuples(st.integers(0, 99), st.integers(0, 30), st.sampled_from(["", "waiting", "finished"]))


@given(st.lists(LANES, max_size=20), st.integers(1, 200), st.booleans())
def test_no_line_is_wider_than_the_terminal(lanes: list[tuple[int, int, str]], width: int, plain: bool) -> None:
    lines = table([lane(*each) for each in lanes], width, ascii_only=plain)
    assert all(len(line) <= width for line in lines)
    assert len(lines) == min(len(lanes), MOST) + (len(lanes) > MOST)
    assert not plain or all(line.isascii() for line in lines)


def test_a_sparkline_shows_the_shape_and_what_is_not_finite() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == BLOCKS
    assert sparkline([1.0, math.nan, 2.0]) == "▁!█"
    assert sparkline([math.nan, math.inf]) == "!!"
    assert sparkline([3.0]) == "▁"
    assert sparkline(list(range(100)), 5) == "▁▃▅▆█"


# -- the verdicts at the end -------------------------------------------------------------------------------------------
def test_verdicts_that_do_not_fit_are_a_paragraph_a_check() -> None:
    found = finding(measured=0.5, bounds=(floor(0.48),))
    verdicts = [verdict("cosine_floor[train_cosine@1]", found=found, seed=seed) for seed in (0, 1, 2)]
    assert terminal.table(verdicts)[1] == "cosine_floor[train_cosine@1]  ✓ 0.5000  ✓ 0.5000  ✓ 0.5000  floor 0.48"
    assert terminal.table(verdicts, 80) == terminal.table(verdicts)
    assert terminal.table(verdicts, 50) == [
        "cosine_floor[train_cosine@1]",
        "  seed0 ✓ 0.5000  seed1 ✓ 0.5000  seed2 ✓ 0.5000",
        "  required floor 0.48",
    ]
    assert max(map(len, terminal.table(verdicts, 40))) <= 40


# -- in a terminal -----------------------------------------------------------------------------------------------------
def in_terminal(project: Project, width: int, *args: str, **environ: str) -> str:
    """What pytest writes to a terminal of that width, with its escape sequences."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    kept = {key: value for key, value in os.environ.items() if key not in HIDING}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *OPTIONS, *args],
        cwd=project.path, stdin=theirs, stdout=theirs, stderr=theirs, env=kept | {"TERM": "xterm-256color"} | environ,
    )  # fmt: skip
    os.close(theirs)
    parts = []
    try:
        while block := os.read(ours, 1 << 16):
            parts.append(block)
    except OSError:
        pass  # a terminal that nobody writes to any more says so in this way
    finally:
        os.close(ours)
        process.wait(timeout=180)
    return b"".join(parts).decode("utf-8", "replace")


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").split("\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("width", [60, 140])
def test_in_a_terminal_our_lines_fit_and_the_runs_stand_side_by_side(project: Project, width: int) -> None:
    project.suite(*CHECKS, seeds=[0, 1], pause=0.02)
    text = in_terminal(project, width)
    lines = plain(text)
    assert any(re.match(r"  seed0 .*val \.", line) for line in lines)
    ours = [line for line in lines if re.match(r"  seed\d|  data|lvmcheck 0|cosine_floor|run seed|  required", line)]
    assert len(ours) > 5
    assert max(map(len, ours)) <= width, [line for line in ours if len(line) > width]
    assert "\x1b[32m" in text, "colours where they can be seen"
    assert "8 passed" in text


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_no_color_means_no_colour(project: Project) -> None:
    text = in_terminal(project, 80, NO_COLOR="1")
    assert "4 passed" in text
    assert not re.search(r"\x1b\[[0-9;]*m", re.sub(r"\x1b\[0?m", "", text))


def test_piped_output_has_no_escapes_and_every_epoch_once(project: Project) -> None:
    text = project.pytest().stdout.str()
    assert "\x1b" not in text
    assert [text.count(f"epoch {epoch}/4") for epoch in (1, 2, 3, 4)] == [1, 1, 1, 1]


@pytest.mark.own_process
def test_an_output_without_our_signs_ends_no_session(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    monkeypatch.setenv("PYTHONUTF8", "0")
    result = project.pytest("-v", inside=False)
    result.assert_outcomes(passed=4)
    assert "INTERNALERROR" not in result.stdout.str()


def test_a_dumb_terminal_gets_plain_lines(project: Project) -> None:
    text = in_terminal(project, 80, TERM="dumb")
    assert "epoch 4/4" in text
    assert "\x1b[1A" not in text, "nothing is redrawn"
