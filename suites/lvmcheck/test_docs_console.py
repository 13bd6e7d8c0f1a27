"""Every command of the pages that teach is run, and prints what the page shows."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from suites.lvmcheck.docs_kit.console import differs, failures, steps

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["../README.md", "tutorial.md", "python-tests.md", "references.md", "compare.md", "integrations.md"]
LONG = ("references.md", "compare.md", "python-tests.md")
"""Pages that train for half a minute and show what tutorial.md or the tests of its subject run, too: with
LVM_RELIABILITY=full."""
NEEDED = {"integrations.md": ("tensorboard", "wandb", "mlflow")}
pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("git")), reason="the pages are run with bash and git"
)


@pytest.mark.parametrize("name", PAGES)
def test_a_reader_sees_what_the_page_shows(name: str, tmp_path: Path) -> None:
    gone = [package for package in NEEDED.get(name, ()) if importlib.util.find_spec(package) is None]
    if gone:
        pytest.skip(f"not installed: {', '.join(gone)}; pip install -e .[export]")
    if name in LONG and os.environ.get("LVM_RELIABILITY") != "full":
        pytest.skip("LVM_RELIABILITY=full")
    assert len(steps(DOCS / name)) >= 5
    (tmp_path / "lvmcheck").symlink_to(DOCS.parent)  # a checkout beside the reader's folder
    (tmp_path / "mine").mkdir()
    assert list(failures(DOCS / name, tmp_path / "mine")) == []


def test_no_page_with_commands_is_left_out() -> None:
    """A page that only shows files to write is no such page."""
    found = {page.name for page in DOCS.glob("*.md") if any(not s.command.startswith("cat > ") for s in steps(page))}
    assert found == set(PAGES[1:])


# -- the comparison can fail -------------------------------------------------------------------------------------------
PRINTED = "first\nrun 3 passed in 1.20s\nlast\n"


@pytest.mark.parametrize(
    "expected",
    [("first", "run 3 passed in 0.01s", "last"), ("...", "last"), ("first", "..."), ("fir...", "...", "last")],
)
def test_what_was_printed_fits(expected: tuple[str, ...]) -> None:
    assert differs(expected, PRINTED) is None


@pytest.mark.parametrize(
    "expected",
    [
        ("first", "run 4 passed in 1.20s", "last"),
        ("first",),
        ("first", "last"),
        ("...", "last", "first"),
        ("last", "..."),
    ],
)
def test_what_was_not_printed_does_not(expected: tuple[str, ...]) -> None:
    assert differs(expected, PRINTED) is not None
