"""One mistake, one message: file, line, key, what was expected, what came, and the nearest valid name."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import tomli
from hypothesis import given
from hypothesis import settings as tuned
from hypothesis import strategies as st

from lvmcheck.checks.protocol import check_names
from lvmcheck.errors import InputError
from lvmcheck.suite import load_suite

HERE = Path(__file__).parent
GOOD = (HERE / "suite_file_kit" / "good.toml").read_text()
FLOOR = "suite_file_kit.checks:Floor"


@pytest.fixture(autouse=True)
def kit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks and trainers of suite_file_kit, as if of a user's own repository."""
    monkeypatch.syspath_prepend(str(HERE))


def refusal(path: Path, data: str | bytes, profile: str | None = None) -> str:
    """The message for a file of this content, without the path in front."""
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(InputError) as caught:
        load_suite(path, profile=profile)
    text = str(caught.value)
    assert text.startswith(f"{path}")
    assert "\n" not in text
    return text.removeprefix(str(path))


MISTAKES = tomli.loads((HERE / "suite_file_kit" / "mistakes.toml").read_text())["mistake"]


@pytest.mark.parametrize("mistake", MISTAKES, ids=[f"{n}-{item['now'][:24]!r}" for n, item in enumerate(MISTAKES)])
def test_one_mistake_one_message(tmp_path: Path, mistake: dict[str, str]) -> None:
    assert mistake["was"] in GOOD
    assert refusal(tmp_path / "suite.toml", GOOD.replace(mistake["was"], mistake["now"], 1)) == mistake["says"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", ": the file is empty."),
        (b" \n\n", ": the file is empty."),
        (
            b"\xef\xbb\xbf" + GOOD.encode(),
            ":1: starts with a UTF-8 byte order mark (EF BB BF) at byte 0. "
            "Save the file as UTF-8 without a byte order mark.",
        ),
        (
            GOOD.encode("utf-16"),
            ":1: starts with a UTF-16 byte order mark (FF FE) at byte 0. "
            "Save the file as UTF-8 without a byte order mark.",
        ),
        (
            GOOD.encode("utf-16-le"),
            ":1: a NUL byte (00), as in UTF-16 text, at byte 1. Save the file as UTF-8 without a byte order mark.",
        ),
        (b'[suite]\nabout = "a\0b"\n', ":2: a NUL byte (00) at byte 18."),
        (
            b'[suite]\nabout = "caf\xe9"\n',
            ":2: not UTF-8: byte 0xe9 at byte 20. Save the file as UTF-8 without a byte order mark.",
        ),
        (b"[suite]\rchecks = 1\r", ":1: a carriage return without a line feed. End lines with LF or CR LF."),
        (b"# only a comment\n", ": expected a table [suite]."),
        (b"suite = 3\n", ":1: expected a table [suite]."),
    ],
)
def test_bytes_that_are_no_suite(tmp_path: Path, data: bytes, message: str) -> None:
    assert refusal(tmp_path / "suite.toml", data) == message


@pytest.mark.parametrize(
    "hostile",
    [
        "a = " + "[" * 500 + "]" * 500,
        "a = " + "[" * 400_000,
        "a = " + "{a=" * 3_000,
        ".".join(["a"] * 5_000) + " = 1",
        "a = " + "9" * 5_000,
        "a = " + "[" * 390 + "]" * 390,
        "\n".join(f"a{n}.{'a.' * 900}a = 1" for n in range(500)),
        "\n".join(f"[[{'a.' * 900}a]]" for n in range(500)),
        'a = """' + "x" * 1_000_000,
    ],
    ids=["arrays", "open", "tables", "dotted", "digits", "just-allowed", "dotted-many", "headers", "large"],
)
def test_hostile_shapes_are_refused_at_once(tmp_path: Path, hostile: str) -> None:
    started = time.process_time()
    refusal(tmp_path / "suite.toml", hostile + "\n")
    assert time.process_time() - started < 2, "bounded; the figure itself is measured, not asserted"


def test_a_file_over_the_limit_is_not_parsed(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path / "suite.toml", "#" * 1_000_001) == ": expected a suite of at most 1,000,000 bytes, got more."
    )


def test_a_missing_file_offers_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "amn_790k").mkdir()
    (tmp_path / "amn_790k" / "suite.toml").write_text(GOOD)
    for asked in ("amn_79k/suite.toml", "amn_790k/suit.toml"):
        with pytest.raises(InputError) as caught:
            load_suite(tmp_path / asked)
        near = str(tmp_path / "amn_790k" / "suite.toml")
        assert str(caught.value) == f"{tmp_path / asked}: not found. Did you mean {near!r}?"
    with pytest.raises(InputError, match="expected a suite file, got a directory"):
        load_suite(tmp_path / "amn_790k")


def test_things_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(InputError, match="expected a regular file"):
        load_suite(tmp_path / "pipe.toml")
    for name in ("a\0b", "x" * 5_000):
        with pytest.raises(InputError, match="cannot be read"):
            load_suite(tmp_path / name)


def test_an_unknown_profile_offers_the_nearest(tmp_path: Path) -> None:
    assert refusal(tmp_path / "suite.toml", GOOD, "ful") == ": no profile 'ful'. Did you mean 'full'?"
    assert refusal(tmp_path / "suite.toml", GOOD, "nightly") == ": no profile 'nightly'. Known: ci, full, smoke."


def test_a_profile_without_checks_is_an_error(tmp_path: Path) -> None:
    text = GOOD.replace("abort = true", 'profiles = ["full"]').replace(
        'name = "finite', 'profiles = ["full"]\nname = "finite'
    )
    assert refusal(tmp_path / "suite.toml", text) == ": none of its 3 checks belongs to profile 'smoke'."


def test_two_profiles_may_use_one_name(tmp_path: Path) -> None:
    text = GOOD.replace("abort = true", 'profiles = ["smoke"]\nname = "twin"').replace(
        'profiles = ["full"]', 'profiles = ["full"]\nname = "twin"'
    )
    path = tmp_path / "suite.toml"
    path.write_text(text)
    assert [entry.node for entry in load_suite(path).checks] == ["twin", "finite everywhere"]
    assert "two checks are called 'twin'" in refusal(path, text.replace('["smoke"]', '["smoke", "full"]'))


def test_an_unknown_check_says_how_many_exist(tmp_path: Path) -> None:
    shown = refusal(tmp_path / "suite.toml", GOOD.replace(f'check = "{FLOOR}"', 'check = "no_such_check"', 1))
    assert shown.startswith(":27: check 'no_such_check': no such check. ")
    assert shown.endswith(f"{len(check_names())} checks exist: lvmcheck list checks")


@pytest.mark.parametrize("name", check_names())
def test_a_built_in_check_misspelt_offers_the_nearest(tmp_path: Path, name: str) -> None:
    wrong = f"{name}x"
    shown = refusal(tmp_path / "suite.toml", GOOD.replace(f'check = "{FLOOR}"', f'check = "{wrong}"', 1))
    assert shown.startswith(f":27: check {wrong!r}: no such check. Did you mean {name!r}?")


# -- properties ------------------------------------------------------------------------------------------------------
TABLES = ("[suite]", "[run]", "[run.loss]", "[profile.smoke]", "[profile.full]", "[[check]]", "[check.expect]")
WORDS = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20).map(lambda word: f"zz_{word}")


@given(table=st.sampled_from(TABLES), word=WORDS, value=st.sampled_from(["1", '"x"', "{ a = 1 }", "[1]", "true"]))
@tuned(max_examples=60, deadline=None)
def test_an_unknown_key_is_never_ignored(
    tmp_path_factory: pytest.TempPathFactory, table: str, word: str, value: str
) -> None:
    text = GOOD.replace(f"{table}\n", f"{table}\n{word} = {value}\n", 1)
    line = text[: text.index(word)].count("\n") + 1
    shown = refusal(tmp_path_factory.getbasetemp() / "unknown.toml", text)
    assert shown.startswith(f":{line}: ")
    assert f".{word}: " in shown


WRONG = {"floor": ['"0.5"', "true", "[0.5]", "{ a = 1 }", "nan"], "epoch": ["1.0", "true", '"1"', "[1]"]}
WRONG |= {"metric": ["1", "false", "[]", "{}"], "abort_below": ['"x"', "false", "-inf"]}


@given(data=st.data())
@tuned(max_examples=40, deadline=None)
def test_a_wrong_type_is_named_at_its_line(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(WRONG)))
    value = data.draw(st.sampled_from(WRONG[key]))
    lines = GOOD.split("\n")
    at = next(index for index, line in enumerate(lines) if line.startswith(f"{key} = "))
    lines[at] = f"{key} = {value}"
    shown = refusal(tmp_path_factory.getbasetemp() / "wrong.toml", "\n".join(lines))
    assert shown.startswith(f":{at + 1}: ")
    assert f".{key}: expected " in shown


@given(at=st.integers(0, len(GOOD)), junk=st.binary(min_size=1, max_size=4))
@tuned(max_examples=150, deadline=None)
def test_damage_is_an_input_error_or_a_valid_suite(
    tmp_path_factory: pytest.TempPathFactory, at: int, junk: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.toml"
    data = GOOD.encode()
    path.write_bytes(data[:at] + junk + data[at + len(junk) :])
    try:
        says = f"{load_suite(path).declared} checks"
    except InputError as problem:
        says = str(problem)
    assert says == "3 checks" or (says.startswith(str(path)) and "\n" not in says)
