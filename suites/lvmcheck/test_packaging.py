"""The wheel as an index would take it: twine and check-wheel-contents pass it, and fail what is wrong with a copy."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TWINE = ("twine", "check", "--strict")
CONTENTS = ("check_wheel_contents", "--config", str(ROOT / "pyproject.toml"))
pytestmark = pytest.mark.skipif(
    find_spec("twine") is None or find_spec("check_wheel_contents") is None,
    reason="twine or check-wheel-contents is not installed: pip install -e '.[dev]'",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    built = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "-w", folder]
    done = subprocess.run([*built, ROOT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("lvmcheck-*.whl"))


def judged(tool: tuple[str, ...], wheel: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", *tool, wheel], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def changed(wheel: Path, folder: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of the wheel with other files."""
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(folder / wheel.name, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return folder / wheel.name


def test_the_wheel_is_as_an_index_wants_it(wheel: Path) -> None:
    for tool in (TWINE, CONTENTS):
        code, said = judged(tool, wheel)
        assert code == 0, said
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {"lvmcheck", "lvmcheck-0.1.0.dist-info"}
    assert {"lvmcheck/py.typed", "lvmcheck/text/errors.tsv", "lvmcheck/commands/init/ci/gate.py"} <= set(names)


def without_description(files: dict[str, bytes]) -> None:
    name = next(name for name in files if name.endswith("/METADATA"))
    files[name] = files[name].partition(b"\n\n")[0] + b"\n"


def with_tests(files: dict[str, bytes]) -> None:
    files["tests/__init__.py"] = b"1\n"
    digest = urlsafe_b64encode(sha256(b"1\n").digest()).decode().rstrip("=")
    record = next(name for name in files if name.endswith("/RECORD"))
    files[record] += f"tests/__init__.py,sha256={digest},2\n".encode()


@pytest.mark.parametrize(
    ("tool", "change", "said"),
    [(TWINE, without_description, "`long_description` missing"), (CONTENTS, with_tests, "W005")],
    ids=["twine", "check-wheel-contents"],
)
def test_what_is_wrong_with_a_wheel_is_found(
    wheel: Path, tmp_path: Path, tool: tuple[str, ...], change: Callable[[dict[str, bytes]], None], said: str
) -> None:
    code, told = judged(tool, changed(wheel, tmp_path, change))
    assert code != 0
    assert said in told
