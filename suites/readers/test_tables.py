"""Tables, histories and trainer states: what is read, what is said in a note, and what is refused with its row."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import evaluate
from lvmcheck.errors import InputError
from lvmcheck.readers import detect, kinds, open_run, reader
from lvmcheck.readers._columns import parse_columns, usual_name
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

CSV = "epoch,train_loss,validation/loss\n1,0.9,1.0\n2,0.5,0.8\n3,nan,0.7\n"


def table(folder: Path, said: str, name: str = "run.csv") -> Path:
    path = folder / name
    path.write_text(said, encoding="utf-8")
    return path


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        open_run(path, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def notes(run: Run) -> str:
    return "\n".join(note.text for note in run.of(ev.Note))


def history(folder: Path, *rows: object, **top: object) -> Path:
    return table(folder, json.dumps({"history": list(rows), **top}), "training_history.json")


# -- tables ------------------------------------------------------------------------------------------------------------
def test_a_plain_csv(tmp_path: Path) -> None:
    path = table(tmp_path, CSV)
    assert detect(path) == "columns"
    run = open_run(path)
    assert run.series("val_loss").values.tolist() == [1.0, 0.8, 0.7]
    assert math.isnan(run.series("train_loss").at(3) or 0.0)
    assert run.finished
    assert run.last_epoch == 3


@pytest.mark.parametrize("columns", ["epoch=step,val_loss=validation/loss", " epoch = step , val_loss=validation/loss"])
def test_a_column_map(tmp_path: Path, columns: str) -> None:
    path = table(tmp_path, "step;validation/loss;extra\n10;1,5\n".replace("1,5", "1.5;2") + "20;1.25;3\n")
    run = open_run(path, columns=columns)
    assert run.series("val_loss").epochs.tolist() == [10, 20]
    assert run.series("extra").values.tolist() == [2.0, 3.0]


def test_a_sidecar_is_a_column_map(tmp_path: Path) -> None:
    path = table(tmp_path, "n,v\n1,0.5\n2,0.4\n")
    table(tmp_path, 'epoch = "n"\nval_loss = "v"\n', "run.csv.columns.toml")
    assert open_run(path).series("val_loss").at(2) == 0.4


def test_json_lines_with_objects_inside(tmp_path: Path) -> None:
    rows = [{"epoch": e, "val": {"loss": 1 / e, "cosine": e / 10}, "comment": "x"} for e in (1, 2, 3)]
    path = table(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "log.jsonl")
    run = open_run(path)
    assert run.series("val_cosine").values.tolist() == [0.1, 0.2, 0.3]
    assert "comment" in notes(run)


def test_an_empty_cell_is_not_measured(tmp_path: Path) -> None:
    run = open_run(table(tmp_path, "epoch,val_loss,val_cosine\n1,1.0,\n2,0.9,0.5\n"))
    assert run.series("val_cosine").epochs.tolist() == [2]


def test_missing_epochs_and_epoch_0_are_told(tmp_path: Path) -> None:
    run = open_run(table(tmp_path, "epoch,val_loss\n0,1.0\n1,0.9\n5,0.5\n"))
    assert run.series("val_loss").epochs.tolist() == [1, 2, 6]
    assert "3 of 6 epochs are not recorded: 3, 4, 5" in notes(run)
    assert "counted from 0" in notes(run)


def test_axes_are_found_in_any_case(tmp_path: Path) -> None:
    run = open_run(table(tmp_path, "Epoch,val_loss\n3,1.0\n4,0.9\n"))
    assert run.series("val_loss").epochs.tolist() == [3, 4]
    assert "n-th row" not in notes(run)


def test_rows_without_epoch_or_step_are_counted_and_told(tmp_path: Path) -> None:
    run = open_run(table(tmp_path, "val_loss\n3\n2\n1\n"))
    assert run.series("val_loss").epochs.tolist() == [1, 2, 3]
    assert "the n-th row counts as epoch n" in notes(run)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("epoch,val_loss\n1,1\n3,1\n2,1\n", ("run.csv:4", "epoch 2 stands after epoch 3")),
        ("epoch,val_loss\n1,1\n2,1\n2,0.9\n", ("run.csv:4", "epoch 2 stands twice (first in row 3)")),
        ("epoch,val_loss\n1,1\n2,1\n2,1\n", ("stands twice",)),
        ("epoch,val_loss\n1,1\nnan,1\n", ("run.csv:3", "epoch", "expected a number, got nan")),
        ("epoch,val_loss\n1,1\n,1\n", ("run.csv:3", "expected an epoch, got an empty cell")),
        ("epoch,val_loss\n-1,1\n2,1\n", ("run.csv:2", "at least 0, got -1")),
        ('epoch,val_loss\n1,"0,55"\n', ("run.csv:2", "val_loss", "decimal comma; write 0.55")),
        ("epoch,val_loss\n1,1\n2,oops\n", ("run.csv:3", "val_loss", "expected a number, got 'oops'")),
        ("epoch,val_loss\n1,1,1\n", ("run.csv:2", "expected 2 cells, got 3")),
        ("epoch,val_loss,val_loss\n1,1,1\n", ("'val_loss' stands twice",)),
        ("epoch,,x\n1,1,1\n", ("column 2 has no name",)),
        ("epoch,val_loss\n", ("at least one row",)),
        ('epoch,val_loss\n1,"1\n', ("is not a table",)),
        ("epoch,val_loss\n1,=cmd()\n2,1\n", ("expected a number, got '=cmd()'",)),
    ],
)
def test_a_bad_table_is_refused_with_its_row(tmp_path: Path, said: str, words: tuple[str, ...]) -> None:
    problem = refused(table(tmp_path, said))
    for word in words:
        assert word in problem


def test_a_missing_column_offers_the_nearest(tmp_path: Path) -> None:
    problem = refused(table(tmp_path, CSV), columns="val_loss=validation/los")
    assert "no column 'validation/los' (asked for as val_loss)" in problem
    assert "Did you mean 'validation/loss'?" in problem


@pytest.mark.parametrize("columns", ["val_loss", "=x", "val_loss=", "a=b,a=c", ""])
def test_a_column_map_that_makes_no_sense(tmp_path: Path, columns: str) -> None:
    assert refused(table(tmp_path, CSV), columns=columns).startswith("--columns: ")


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_bytes(b"epoch,val_loss\n1,\xff\n")
    assert "run.csv:2: expected UTF-8, got byte 0xff" in refused(path)


@pytest.mark.parametrize(
    ("line", "words"),
    [("[1]", "expected an object"), ('{"a":1,"a":2}', "stands twice"), ("{", "is not JSON"), ("{" * 3000, "JSON")],
)
def test_a_bad_json_line_is_refused(tmp_path: Path, line: str, words: str) -> None:
    path = table(tmp_path, '{"epoch": 1, "val_loss": 1}\n' + line + "\n", "log.jsonl")
    assert "log.jsonl:2" in refused(path)
    assert words in refused(path)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(width=64) | st.none(), min_size=1, max_size=12), st.sampled_from([",", ";", "\t"]))
def test_what_was_written_is_read_bit_by_bit(
    tmp_path_factory: pytest.TempPathFactory, values: list[float | None], sign: str
) -> None:
    rows = [f"{i}{sign}{'' if value is None else repr(value)}{sign}1" for i, value in enumerate(values, start=1)]
    path = table(tmp_path_factory.mktemp("t"), f"epoch{sign}val_loss{sign}x\n" + "\n".join(rows) + "\n")
    series = open_run(path).series("val_loss")
    wanted = [value for value in values if value is not None]
    assert series.epochs.tolist() == [i for i, value in enumerate(values, start=1) if value is not None]
    assert all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(series.values.tolist(), wanted, strict=True))


# -- histories ---------------------------------------------------------------------------------------------------------
def test_a_history_with_its_metadata(tmp_path: Path) -> None:
    rows = [{"epoch": e, "val_loss": 0.1 / e, "train_loss_info": 0.0} for e in (1, 2)]
    path = history(tmp_path, *rows, model_type="amn", final_params=1_510_912, best_val_loss=0.01, mamba_available=False)
    run = open_run(tmp_path)
    assert detect(path) == "training_history"
    assert run.of(ev.Model)[0].parameters == 1_510_912
    for words in ("GRU fallback", "best_val_loss 0.0100 is not the lowest val_loss", "no config, seed or data"):
        assert words in notes(run)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"epoch": 1, "v": 1}, {"epoch": 1, "v": 2}], "epoch 1 stands twice (first in row 1)"),
        ([{"epoch": 2, "v": 1}, {"epoch": 1, "v": 2}], "the file holds 2 runs"),
        ([{"epoch": 2, "v": 1}, {"epoch": 4, "v": 1}, {"epoch": 3, "v": 2}], "epoch 3 stands after epoch 4"),
        ([{"epoch": 1, "v": 1}, {"epoch": 2, "v": "x"}], "history[1].v: expected a number, got 'x'"),
        ([{"epoch": 1, "v": 1}, {"epoch": 2, "v": True}], "history[1].v: expected a number, got True"),
        ([{"epoch": 1, "v": "x"}], "at least one row with a metric"),
        ([{"epoch": 1, "v": 1}, {"v": 1}], "history[1].epoch: expected an epoch"),
        ([7], "history[0]: expected an object, got 7"),
        ([{"epoch": 1, "v": 10**400}], "no float can hold"),
        ([], "history: expected a list of epochs"),
    ],
)
def test_a_bad_history_is_refused_with_its_row(tmp_path: Path, rows: list[object], words: str) -> None:
    assert words in refused(history(tmp_path, *rows))


def test_a_duplicated_key_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, '{"history": [{"epoch": 1, "v": 1, "v": 2}]}', "h.json")
    assert "key 'v' stands twice" in refused(path)


# -- names and kinds ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("validation/loss", "val_loss"),
        ("eval_loss", "val_loss"),
        ("Train/Loss", "train_loss"),
        ("val_cosine", "val_cosine"),
        ("lr", "lr"),
        ("evaluate", "evaluate"),
    ],
)
def test_usual_names(theirs: str, ours: str) -> None:
    assert usual_name(theirs) == ours


def test_two_columns_of_one_usual_name_keep_their_own(tmp_path: Path) -> None:
    run = open_run(table(tmp_path, "epoch,val/loss,eval_loss\n1,1,2\n"))
    assert set(run.metric_names) == {"val/loss", "eval_loss"}


def test_a_column_map_is_read_as_written() -> None:
    assert parse_columns("epoch=step, val_loss=a=b") == {"epoch": "step", "val_loss": "a=b"}


def test_nothing_known_lists_the_kinds(tmp_path: Path) -> None:
    problem = refused(table(tmp_path, "hello", "notes.txt"))
    for kind in kinds():
        assert kind in problem
    assert "no such file" in refused(tmp_path / "nowhere")
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "events.jsonl").touch()
    assert str(tmp_path / "runs" / "mine") in refused(tmp_path / "runs")
    assert "Did you mean 'columns'?" in refused(table(tmp_path, CSV), kind="colums")


@pytest.mark.parametrize("kind", kinds())
def test_no_reader_trips_over_what_is_not_its_own(tmp_path: Path, kind: str) -> None:
    (tmp_path / "empty").mkdir()
    for content in (b"", b"\0" * 64, b"{", b'{"history": "x"}', b"SQLite format 3\0", b":W&B", b"epoch"):
        path = tmp_path / "x.csv"
        path.write_bytes(content)
        reader(kind).reads(path)
        with pytest.raises(InputError):
            open_run(path, kind=kind)
    assert not reader(kind).reads(tmp_path / "empty")
    with pytest.raises(InputError):
        open_run(tmp_path / "empty", kind=kind)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["x.csv", "x.jsonl", "training_history.json", "metrics.csv", "x.db"]))
def test_any_bytes_give_a_run_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("b") / name
    path.write_bytes(content)
    said = ""
    with contextlib.suppress(InputError):
        try:
            open_run(path)
        except InputError as problem:
            said = str(problem)
            raise
    assert len(said.splitlines()) <= 1


def test_a_run_directory_is_one_whatever_stands_beside_it(tmp_path: Path) -> None:
    """The callback of a trainer may write into the trainer's own output folder."""
    (tmp_path / "events.jsonl").write_text('{"event":"epoch","epoch":1,"step":1,"metrics":{"val_loss":1.0}}\n')
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"epoch": 1.0, "step": 1, "eval_loss": 2.0}]}')
    history(tmp_path, {"epoch": 1, "val_loss": 3.0})
    assert detect(tmp_path) == "run_directory"
    assert open_run(tmp_path).series("val_loss").at(1) == 1.0
    assert open_run(tmp_path, kind="hf_trainer_state").series("val_loss").at(1) == 2.0


# -- cells in which nothing was measured ------------------------------------------------------------------------------
EMPTY = ("", " ", "null", "None", "NA", "N/A", "n/a", "#N/A", "<NA>", "n.a.", "-", "--", "\N{EM DASH}", "\N{EN DASH}")
NAN, INFINITE = ("nan", "NaN", "-nan", "+NaN"), ("inf", "-Infinity", "+inf")


@pytest.mark.parametrize("cell", [*EMPTY, *NAN, *INFINITE])
def test_a_cell_means_the_same_in_every_format(tmp_path: Path, cell: str) -> None:
    rows = [{"epoch": 1, "val_loss": 1.0}, {"epoch": 2, "val_loss": cell}, {"epoch": 3, "val_loss": 0.5}]
    places = [
        table(tmp_path, f"epoch,val_loss\n1,1.0\n2,{cell}\n3,0.5\n"),
        table(tmp_path, f"epoch\tval_loss\n1\t1.0\n2\t{cell}\n3\t0.5\n", "run.tsv"),
        table(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "run.jsonl"),
        table(tmp_path, json.dumps(rows), "run.json"),
        table(tmp_path, json.dumps({"history": rows}), "history.json"),
        table(tmp_path, json.dumps({name: [row[name] for row in rows] for name in rows[0]}), "keras.json"),
    ]
    for place in places:
        value = open_run(place).series("val_loss").at(2)
        if cell in EMPTY:
            assert value is None, place
        else:
            assert value is not None
            assert math.isnan(value) if cell in NAN else math.isinf(value), place


@pytest.mark.parametrize("spelled", ["null", "NaN", "Infinity"])
def test_a_json_value_means_what_it_says(tmp_path: Path, spelled: str) -> None:
    path = table(tmp_path, f'[{{"epoch": 1, "v": {spelled}}}, {{"epoch": 2, "v": 1.0}}]', "run.json")
    value = open_run(path).series("v").at(1)
    assert value is None if spelled == "null" else value is not None and not math.isfinite(value)


def test_a_column_in_which_nothing_was_measured_is_told(tmp_path: Path) -> None:
    run = open_run(table(tmp_path, "epoch,val_loss,val_f1,host\n1,1.0,-,a\n2,0.9,N/A,b\n"))
    assert run.metric_names == ("val_loss",)
    assert "nothing was measured: val_f1" in notes(run)
    assert "no numbers: host" in notes(run)


def test_an_empty_cell_and_nan_are_judged_apart(tmp_path: Path) -> None:
    verdicts = {}
    for cell in ("", "nan"):
        run = open_run(table(tmp_path, f"epoch,val_loss\n1,1.0\n2,{cell}\n3,0.5\n"))
        verdicts[cell] = next(verdict.status for verdict in evaluate(run) if verdict.check == "finite")
    assert verdicts == {"": Status.PASSED, "nan": Status.FAILED}
