"""Ids of errors: every message has one, none is given twice, and what is raised is the message of its id."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from lvmcheck.checks.across import parse_across
from lvmcheck.commands.main import main
from lvmcheck.errors import BadValueError, InputError
from lvmcheck.readers import open_run
from lvmcheck.suite import load_suite
from lvmcheck.text.catalogue import PASSED_ON, Row, renewed, rows, sources
from suites.lvmcheck.plugin_kit.project import floor

ROOT = Path(__file__).parents[2]
BAD_ADVICE = ("allow_pickle=True", "weights_only=False", "internal miniz", "Traceback", "KMP_DUPLICATE_LIB_OK=TRUE")


def test_every_message_has_its_id() -> None:
    now = renewed(rows(), sources())
    changed = [row for row in now if row not in rows()]
    assert not changed, "python -m docs.manual docs/errors.md"


def test_no_id_is_given_twice_and_none_is_lost() -> None:
    assert [row.number for row in rows()] == list(range(1, len(rows()) + 1)), "a retired row stays"
    used = [(row.file, row.message) for row in rows() if row.used]
    assert len(set(used)) == len(used)


def test_each_text_says_something_and_gives_no_bad_advice() -> None:
    for row in rows():
        said = row.message.replace(PASSED_ON, "")
        assert row.message == PASSED_ON or re.search("[a-z]{2}", said) or row.message.count(PASSED_ON) > 1, row
        assert not any(advice in row.message for advice in BAD_ADVICE), row
        assert not re.search(r"[\t\n]", row.message), row
        assert not said.endswith("!"), row


def test_a_reworded_message_keeps_its_id_and_a_new_one_gets_the_next() -> None:
    known = [Row(1, True, "a.py", "expected one epoch, got {}"), Row(2, True, "a.py", "no such file")]
    found = {"a.py": ["expected an epoch, got {}"], "b.py": ["no such file"]}
    now = renewed(known, found)
    assert now == [
        Row(1, True, "a.py", "expected an epoch, got {}"),
        Row(2, False, "a.py", "no such file"),
        Row(3, True, "b.py", "no such file"),
    ]
    assert renewed(now, found) == now
    assert renewed(now, {**found, "a.py": ["zzzz", "expected an epoch, got {}"]})[3] == Row(4, True, "a.py", "zzzz")
    again = renewed(now, {"a.py": ["no such file"], "b.py": []})
    assert [row.used for row in again] == [False, True, False]


# -- what is raised ----------------------------------------------------------------------------------------------------
def row_of(problem: InputError | BadValueError) -> Row:
    number = problem.id  # looked up in the source each time
    (row,) = (row for row in rows() if row.id == number)
    return row


def fits(row: Row, text: str) -> bool:
    return re.fullmatch(re.escape(row.message).replace(r"\{\}", ".*"), text) is not None


def suite(folder: Path, check: str) -> Path:
    path = folder / "suite.toml"
    path.write_text(f'[suite]\nabout = "a"\nchecks = 1\n\n[run]\ntrainer = "a:b"\nepochs = 2\nseeds = [0]\n\n{check}')
    return path


def test_an_error_knows_its_id(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        open_run(tmp_path / "nowhere")
    assert fits(row_of(caught.value), caught.value.problem)
    assert row_of(caught.value).file.startswith("lvmcheck/readers/")
    again = InputError.from_json(caught.value.to_json())
    assert again.id == caught.value.id


def test_a_bad_value_keeps_its_id_where_file_and_line_are_added(tmp_path: Path) -> None:
    with pytest.raises(BadValueError) as bad:
        parse_across("median")
    row = row_of(bad.value)
    assert (row.file, fits(row, bad.value.problem)) == ("lvmcheck/checks/across.py", True)
    with pytest.raises(InputError) as caught:
        load_suite(suite(tmp_path, floor(1, 0.5, 'across = "median"')))
    assert caught.value.id == bad.value.id


def test_an_error_of_somebody_else_has_none() -> None:
    assert InputError("mine", "is bad").id is None
    assert BadValueError("mine", "is bad").id is None


WRONG = {
    "no run": ["check", "nowhere"],
    "no reader": ["check", "docs"],
    "no name": ["explain", "nowhere"],
    "no command": ["chekc"],
    "no suite": ["run", "nowhere.py"],
    "no kind": ["list", "nowhere"],
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
def test_a_command_ends_with_the_id(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if main(words) == 2:
        said = capsys.readouterr().err
        found = re.search(r" \[(LVM-\d{4})\]$", said.strip())
        assert found is not None, said
        assert main(["explain", found[1]]) == 0
        assert capsys.readouterr().out.startswith(f"{found[1]}\n")


def test_most_commands_above_are_refused() -> None:
    assert sum(main(words) == 2 for words in WRONG.values()) >= 4


# -- the gate ----------------------------------------------------------------------------------------------------------
def test_each_reason_of_the_gate_is_given_somewhere_and_has_words() -> None:
    from suites.ci.gate_kit import scripts

    gate, _ = scripts()
    calls = [node for file in sorted((ROOT / "ci").glob("gate*.py")) for node in ast.walk(ast.parse(file.read_text()))]
    given = {node.value for node in calls if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    words = __import__("gate_finding").WORDS
    for code, text in words.items():
        assert code in given
        assert re.fullmatch("[a-z_]+", code)
        sentence = gate.Reason(code, "what", "EXPECTED", "GOT").sentence()
        assert sentence.startswith("what: ")
        assert ("{" in text) == ("EXPECTED" in sentence or "GOT" in sentence)


# -- command lines -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("args", "names"),
    [
        (("explain",), "missing: name. Example: lvmcheck explain cosine_floor"),
        (("check",), "missing: path. Example: lvmcheck check "),
        (("run",), "missing: script. Example: lvmcheck run "),
        (("run", "--on-fail", "explode", "x.py"), "'explode'"),
        (("check", ".", "--data-name"), "--data-name"),
        (("reference",), "missing: WHAT"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, tuple) else "",
)
def test_a_command_that_makes_no_sense(capsys: pytest.CaptureFixture[str], args: tuple[str, ...], names: str) -> None:
    code = main(args)
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"lvmcheck {args[0]}: ")
    assert names in err


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    code = main([])
    out, err = capsys.readouterr()
    assert (code, err) == (2, "")
    assert out.startswith("usage: lvmcheck")
