"""Files of every kind that lvmcheck reads, and what a disk, a crash or somebody who means harm makes of them."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.readers import open_run
from lvmcheck.report.machine import json_report
from lvmcheck.run.manifest import damage
from lvmcheck.statistics.reference_file import read as read_reference
from lvmcheck.suite import load_suite
from suites.readers.test_hostile import tfrecord, wandb_log
from suites.report.golden_kit import session

ROOT = Path(__file__).parents[2]
RUN = ROOT / "fixtures" / "runs" / "amn_80k"
PIECES = (
    *(b"\x1b[31m", b"\x00", b"\r\n::error::owned\n", b"\xff\xfe", b"\xe2\x80\xae", b"##[error]x", b"\x9b2J"),
    *(b"\xed\xa0\x80",),
    *(b"NaN", b"1e999", b"-Infinity", b"9" * 5000, b'"', b"[" * 3000, b"{" * 3000, b"null", b"true", b"-1", b"0x10"),
    *(b",", b"\n", b":", b"}", b"]", b"=", b"'''", b"#", b"\\u0000", b"\\ud800", b"1" * 400 + b".5", b"1_0"),
)
"""What is put somewhere into a file."""
STATE = {
    "epoch": 2.0,
    "global_step": 20,
    "max_steps": 40,
    "num_train_epochs": 4,
    "best_metric": None,
    "log_history": [
        *({"epoch": n / 10, "step": n, "loss": 2.0 / n, "learning_rate": 1e-4, "grad_norm": 1.0} for n in range(1, 20)),
        {"epoch": 1.0, "step": 10, "eval_loss": 0.5, "eval_accuracy": 0.7, "eval_runtime": 1.0},
        {"epoch": 2.0, "step": 20, "eval_loss": 0.4, "eval_accuracy": 0.8, "eval_runtime": 1.0},
    ],
}
HISTORY = {"model": "amn", "history": [{"epoch": n, "train_loss": 1 / n, "val_cosine": 0.5} for n in range(1, 6)]}
MANIFEST = b'{"files": {"model.safetensors": {"bytes": 9, "sha256": "00"}}, "format": 1}'
ROWS = [b"%d,%d,%f,%f,0.5\n" % (n, 9 * n, 1 / n, 2 / n) for n in range(1, 9)]
CSV = b"epoch,step,train_loss,val_loss,val_acc\n" + b"".join(ROWS)


def sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE runs (run_uuid, name, status, lifecycle_stage, start_time)")
        made.execute("CREATE TABLE params (key, value, run_uuid)")
        made.execute("CREATE TABLE metrics (key, value, is_nan, step, timestamp, run_uuid)")
        made.execute("INSERT INTO runs VALUES ('id0', 'n', 'FINISHED', 'active', 1)")
        rows = [("val_loss", 1.0 / n, 0, n, 1000 * n, "id0") for n in range(1, 30)]
        made.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", rows)
        made.commit()


def sources(folder: Path) -> Mapping[str, tuple[bytes, str, Callable[[Path], object]]]:
    """Kind -> a sound file's content, the name that it is given, and what reads it."""
    sqlite(folder / "sound.db")
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in HISTORY["history"])
    suite = ROOT / "suites" / "selftest" / "ordinary_language" / "suite.toml"
    reference = next((ROOT / "fixtures" / "references").rglob("*.toml"))
    return {
        "events.jsonl": ((RUN / "events.jsonl").read_bytes(), "run/events.jsonl", _run),
        "run.json": ((RUN / "run.json").read_bytes(), "run/run.json", _run),
        "done.json": ((RUN / "done.json").read_bytes(), "run/done.json", _run),
        "training history": (json.dumps(HISTORY).encode(), "training_history.json", open_run),
        "trainer state": (json.dumps(STATE).encode(), "trainer_state.json", open_run),
        "CSV": (CSV, "metrics.csv", open_run),
        "lines of JSON": (lines, "log.jsonl", open_run),
        "event file": (
            tfrecord(b"\x1a\x0dbrain.Event:2" + bytes(9)) + tfrecord(bytes(range(64))) * 4,
            "events.out.tfevents.1",
            open_run,
        ),
        "wandb": (wandb_log(b"\x0a\x05hello" * 8, bytes(range(200))), "run-x.wandb", open_run),
        "SQLite": ((folder / "sound.db").read_bytes(), "mlflow.db", open_run),
        "suite": (suite.read_bytes(), "suite.toml", load_suite),
        "reference": (reference.read_bytes(), "reference.toml", read_reference),
        "report": (json_report.render(session()).encode(), "r.json", json_report.read),
        "manifest": (MANIFEST, "c/manifest.json", _manifest),
    }


def _run(path: Path) -> object:
    return open_run(path.parent)


def _manifest(path: Path) -> None:
    said = damage(path.parent, manifest=True)
    if said is not None:
        raise InputError(path, said)


def beside(folder: Path) -> None:
    """The other files of a run directory."""
    (folder / "c").mkdir(exist_ok=True)
    shutil.copytree(RUN, folder / "run", dirs_exist_ok=True)


def spoiled(sound: bytes, chance: random.Random) -> bytes:
    """One to three changes: bits, cuts, repeats, swaps, and pieces that do not belong there."""
    body = bytearray(sound)
    for _ in range(chance.randint(1, 3)):
        at, to = sorted(chance.randrange(len(body) + 1) for _ in range(2))
        match chance.randrange(7):
            case 0 if body:
                body[min(at, len(body) - 1)] ^= 1 << chance.randrange(8)
            case 1:
                del body[at:]
            case 2:
                del body[at : min(to, at + 40)]
            case 3:
                body[at:at] = body[at : min(to, at + 400)]
            case 4 | 5:
                body[at:at] = chance.choice(PIECES)
            case _:
                body[at : at + 8] = chance.randbytes(8)
    return bytes(body)
