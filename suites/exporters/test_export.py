"""Exported runs, read back with our own readers: every metric at every epoch, as the logger keeps numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lvmcheck.checks.bounds import ceiling, equal
from lvmcheck.checks.finding import Status
from lvmcheck.checks.verdict_json import verdict_json
from lvmcheck.commands.main import BAD_INPUT, PASSED, main
from lvmcheck.readers import open_run
from lvmcheck.run import events as ev
from lvmcheck.run.directory import load
from lvmcheck.run.event_lines import to_line
from lvmcheck.run.view import Run
from suites.exporters.export_kit import EVERY_KIND, HARD, RECORDED, bits, metrics_of, needs, recorded
from suites.report.report_kit import finding, verdict

pytestmark = pytest.mark.filterwarnings("default")  # what the libraries warn of while they are imported
WINDOWS = "loss=window/loss_mean,lr=window/lr,grad_norm=window/grad_norm_max"


def export(kind: str, into: Path, *runs: Path, expect: int = PASSED) -> None:
    assert main(["export", *map(str, runs), "--to", kind, "--into", str(into)]) == expect


def back(kind: str, into: Path, columns: str | None = None) -> Run:
    return open_run(into, kind=kind, columns=columns)


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("name", ["cognate_reasoning", "lstm_80k"])
def test_a_recorded_run_comes_back(kind: str, name: str, tmp_path: Path) -> None:
    export(kind, tmp_path, RECORDED / name)
    original, found = load(RECORDED / name), metrics_of(back(kind, tmp_path), kind)
    said = metrics_of(original, kind, ours=True)
    assert len(said) >= 3
    assert {metric: found.get(metric) for metric in said} == said


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_number_of_our_own_run_comes_back(kind: str, tmp_path: Path) -> None:
    run = load(recorded(tmp_path / "run"))
    export(kind, tmp_path / "out", tmp_path / "run")
    read = back(kind, tmp_path / "out", WINDOWS)
    found = metrics_of(read, kind)
    assert found["val_loss"] == [(epoch, bits(value, kind)) for epoch, value in enumerate(HARD, start=1)]
    said = metrics_of(run, kind, ours=True)
    assert {metric: found.get(metric) for metric in said} == said
    assert [window.last_step for window in read.windows] == list(range(2, 4 * len(HARD) + 1, 2))
    for ours, theirs in zip(run.windows, read.windows, strict=True):
        assert theirs.epoch == ours.epoch
        assert bits(theirs.loss_mean, kind) == bits(ours.loss_mean, kind)
        assert bits(theirs.lr or 0.0, kind) == bits(ours.lr or 0.0, kind)
        assert bits(theirs.grad_norm_max or 0.0, kind) == bits(ours.grad_norm_max or 0.0, kind)
    halting = [event.values["mean"] for event in run.probes("halting")]
    assert [value for _, value in found["probe_halting_mean"]] == [bits(value, kind) for value in halting]
    reloads = {name: values[-1][1] for name, values in found.items() if name.startswith("evaluation_reload")}
    assert sorted(reloads.values()) == sorted([bits(0.5, kind), bits(0.75, kind)])  # two at one step stay two
    assert [event.step for event in read.of(ev.Epoch)][: len(HARD)] == [event.step for event in run.of(ev.Epoch)]


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_exporting_twice_doubles_nothing(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rec = recorded(tmp_path / "run", close=False)
    export(kind, tmp_path / "out", rec)
    assert "no completion record after epoch 8: the run goes on, or died" in capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    export(kind, tmp_path / "out", rec)
    assert "there already, nothing written" in capsys.readouterr().out
    with (rec / "events.jsonl").open("a") as file:
        file.write(to_line(ev.Epoch(t=99.0, epoch=9, step=36, metrics={"val_loss": 1.0})) + "\n")
    export(kind, tmp_path / "out", rec, expect=BAD_INPUT)
    said = capsys.readouterr().err
    assert "was exported here before, up to another point" in said
    assert said.count("\n") == 1
    assert "--into DIR" in said
    unread = {"mlflow.db", "mlflow.db-shm", "mlflow.db-wal"}  # a store that is opened may change without a change
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {p: t for p, t in after.items() if p.name not in unread} == {
        p: t for p, t in before.items() if p.name not in unread
    }
    assert metrics_of(back(kind, tmp_path / "out"), kind)["val_loss"][-1] == (8, bits(HARD[-1], kind))


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_several_runs_in_one_place(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(kind, tmp_path / "out", RECORDED / "lstm_80k", RECORDED / "gru_80k")
    assert capsys.readouterr().out.count(" -> ") == 2
    ids = {"tensorboard": "gru_80k", "mlflow": "gru_80k", "wandb": wandb_id(tmp_path / "out", "gru_80k")}
    found = metrics_of(open_run(tmp_path / "out", kind=kind, run=ids[kind]), kind)
    said = metrics_of(load(RECORDED / "gru_80k"), kind, ours=True)
    assert {metric: found.get(metric) for metric in said} == said


def wandb_id(into: Path, name: str) -> str:
    """The id of the offline run that is an export of ``name``."""
    marks = (json.loads(place.read_text()) for place in into.glob("wandb/offline-run-*/lvmcheck-export.json"))
    return next((str(mark["run"]) for mark in marks if mark["name"] == name), "")


# -- what is no number -------------------------------------------------------------------------------------------------
def judged(path: Path) -> Path:
    """A run with verdicts beside it, one of which is a failure."""
    recorded(path)
    verdicts = [
        verdict("finite", Status.FAILED, finding(metric=None, code="not_finite", measured=3, bounds=(equal(0),))),
        verdict("loss_ledger", found=finding(metric=None, code="error", measured=0.0, bounds=(ceiling(1e-4),))),
    ]
    body = {"profile": "smoke", "verdicts": [verdict_json(it) for it in verdicts]}
    (path / "verdicts.json").write_text(json.dumps(body))
    return path


@needs("tensorboard")
def test_text_and_hyperparameters_in_tensorboard(tmp_path: Path) -> None:
    export("tensorboard", tmp_path / "out", judged(tmp_path / "run"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    log = EventAccumulator(str(tmp_path / "out" / "run"), {"tensors": 0})
    log.Reload()

    def text(tag: str) -> list[str]:
        assert log.SummaryMetadata(tag).plugin_data.plugin_name == "text"
        return [event.tensor_proto.string_val[0].decode() for event in log.Tensors(tag)]

    samples = text("samples/greedy")
    assert len(samples) == len(HARD)
    assert "**prompt**\n\n    1+1=|\n\n**text**\n\n    *2*\n        </pre>\ufffd\n\n**answer**\n\n    2" in samples[0]
    assert "finite       failed   not finite 3" in text("about/verdicts")[0]
    assert "run finished at epoch 8 of 8\n\nchecks failed: finite" in text("about/end")[0]
    assert "**note**\n\n    the end is near" in text("about/notes")
    start = metadata.parse_session_start_info_plugin_data(
        log.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    )
    assert start.hparams["loss.mse"].number_value == 1.0
    assert start.hparams["kind"].string_value == "amn"
    end = metadata.parse_session_end_info_plugin_data(
        log.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    )
    assert end.status == 1  # STATUS_SUCCESS


@needs("wandb")
def test_text_and_config_in_wandb(tmp_path: Path) -> None:
    export("wandb", tmp_path / "out", judged(tmp_path / "run"))
    run = back("wandb", tmp_path / "out")
    assert dict(run.config) == {"epochs": len(HARD), "loss": {"mse": 1.0}, "kind": "amn", "seed": 7}
    assert run.finished
    (folder,) = tmp_path.glob("out/wandb/offline-run-*")
    (samples,) = folder.glob("files/media/table/samples/greedy*.json")
    table = json.loads(samples.read_text())
    assert table["columns"] == ["step", "epoch", "prompt", "text", "answer", "dataset"]
    assert table["data"][0] == [4, 1, "1+1=|", "*2*\n    </pre>\ufffd", "2", ""]
    (log,) = folder.glob("*.wandb")
    assert b"checks failed: finite" in log.read_bytes()


@needs("mlflow")
def test_text_params_and_ends_in_mlflow(tmp_path: Path) -> None:
    failed = recorded(tmp_path / "failed", close=False)
    (failed / "failure.json").write_text(json.dumps({"death": "the trainer was killed by SIGKILL"}))
    export("mlflow", tmp_path / "out", judged(tmp_path / "run"), failed, recorded(tmp_path / "open", close=False))
    run = open_run(tmp_path / "out", run="run")
    assert dict(run.config) == {"epochs": len(HARD), "loss.mse": 1.0, "kind": "amn", "seed": 7}
    (samples,) = (tmp_path / "out" / "artifacts" / str(run.info["run_id"])).rglob("greedy.md")
    assert samples.read_text().count("</pre>") == len(HARD)
    ends = {name: open_run(tmp_path / "out", run=name).done for name in ("run", "failed", "open")}
    assert {name: (done or {}).get("status") for name, done in ends.items()} == {
        "run": "finished",
        "failed": "failed",
        "open": "left running",
    }
