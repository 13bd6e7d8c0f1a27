"""Sessions, guards and trainers that are killed at any moment: what is continued ends as what was never disturbed.

Six models through pytest itself: ``python -m suites.reliability.test_random_kills 1000 [SEED]`` kills so often, a test
does it a few times with LVM_RELIABILITY=full. A recording that is watched by default is killed by default, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import evaluate
from lvmcheck.commands._judging import as_it_stands
from lvmcheck.readers import open_run

ROOT = Path(__file__).parents[2]
FULL = os.environ.get("LVM_RELIABILITY") == "full"
MODELS = {
    "amn": '{ kind = "amn", d_model = 16, hidden_dim = 32 }',
    "lstm": '{ kind = "lstm", hidden_dim = 16 }',
    "gru": '{ kind = "gru", hidden_dim = 16, layers = 1 }',
    "lstm_stack": '{ kind = "lstm_stack", hidden_dim = 16, layers = 2 }',
    "transformer": '{ kind = "transformer", hidden_dim = 16, heads = 2, layers = 1 }',
    "linear_mixture": '{ kind = "linear_mixture" }',
}
SUITE = """
[suite]
about = "killed"
checks = 2

[run]
trainer = "vector"
model = {model}
data = {{ source = "twin", recipe = "wiki_584k", dim = 64, context = 5, sequences = 1_500, val_sequences = 200 }}
loss = {{ mse = 1.0 }}
epochs = 8
batch_size = 32
lr = 1e-3
seeds = [0]

[[check]]
check = "finite"

[[check]]
check = "metric"
metric = "val_cosine"
epoch = "final"
at_least = 0.99
"""
OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:benchmark", "-p", "no:hypothesispytest", "--rootdir=.", "suites")
LIMIT = 300.0


class Home:
    """A folder with the suite of one model."""

    def __init__(self, folder: Path, model: str) -> None:
        self.path = folder
        place = folder / "suites" / model / "suite.toml"
        place.parent.mkdir(parents=True)
        place.write_text(SUITE.format(model=MODELS[model]))

    def start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *OPTIONS],
            cwd=self.path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def result(self) -> dict[str, Any]:
        """What the run recorded of its epochs and its last weights, and what was decided."""
        (folder,) = (path.parent for path in self.path.rglob("done.json") if "." not in path.parent.name)
        lines = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
        last = max(folder.glob("checkpoints/*"), key=lambda path: path.stat().st_mtime_ns)
        weights = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in last.glob("*.safetensors")}
        verdicts = json.loads((folder / "verdicts.json").read_text())
        said = {it["name"]: it["outcome"]["status"] for it in verdicts["verdicts"]}
        assert weights
        return {"epochs": [line["metrics"] for line in lines if line["event"] == "epoch"], "w": weights, "said": said}


def below(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [each for child in children for each in (int(child), *below(int(child)))]


def kill_once(home: Home, after: float, chance: random.Random) -> tuple[str, int | None]:
    """Start a session and kill it, or a process below it, some seconds later.

    Returns:
        What was killed, and how the session ended where it was over before, or went on without what was killed.
    """
    session = home.start()
    try:
        session.communicate(timeout=after)
        return "nothing", session.returncode
    except subprocess.TimeoutExpired:
        pass
    whom = chance.choice([session.pid, *below(session.pid)])
    try:
        os.kill(whom, signal.SIGKILL)
    except ProcessLookupError:
        return "nothing", session.wait(LIMIT)
    session.communicate(timeout=LIMIT)
    return ("session" if whom == session.pid else "below it"), session.returncode


def disturbed(model: str, kills: int, chance: random.Random) -> tuple[int, int, list[str]]:
    """Kill sessions of one model until there were so many kills: how many, how many runs ended, and what differed.

    Each run is killed again and again until a session brings it to its end.
    """
    done, runs, wrong = 0, 0, list[str]()
    with tempfile.TemporaryDirectory() as temporary:
        home = Home(Path(temporary), model)
        began = time.monotonic()
        assert home.start().wait(LIMIT) == 1, "the floor that is asked for is out of reach"
        whole, expected = time.monotonic() - began, home.result()
        shutil.rmtree(home.path / ".lvmcheck")
        while done < kills:
            what, code = kill_once(home, chance.uniform(0.05, 1.0) * whole, chance)
            done += what != "nothing"
            if code == 0:
                wrong.append(f"{model}: a session was green ({what} was killed)")
            if what == "nothing":
                runs += 1
                if code != 1 or (found := home.result()) != expected:
                    differs = [key for key in expected if code != 1 or found[key] != expected[key]]
                    wrong.append(f"{model}: ended otherwise, exit status {code}: {differs}")
                shutil.rmtree(home.path / ".lvmcheck")
        home.start().communicate(timeout=LIMIT)
        if home.result() != expected:
            wrong.append(f"{model}: the last run ended otherwise")
    return done, runs + 1, wrong


def main() -> None:
    kills, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    chance, total, runs, wrong = random.Random(seed), 0, 0, list[str]()
    rounds = 0
    while total < kills:
        for model in MODELS:
            done, ended, bad = disturbed(model, min(10, kills - total), chance)
            total, runs, wrong = total + done, runs + ended, wrong + bad
            rounds += 1
            sys.stdout.write(f"{total} kills over {min(rounds, len(MODELS))} models, {runs} runs, {len(wrong)} wrong\n")
            sys.stdout.writelines(f"  {line}\n" for line in bad)
            sys.stdout.flush()
            if total >= kills:
                return


@pytest.mark.skipif(not FULL, reason="the long form: LVM_RELIABILITY=full")
@pytest.mark.parametrize("model", MODELS)
def test_a_run_that_is_killed_ends_as_one_that_is_not(model: str) -> None:
    assert disturbed(model, 4, random.Random(model))[2] == []


# -- a loop that is watched by default ---------------------------------------------------------------------------------
LOOP = """
import os, signal, sys
import torch, lvmcheck

torch.set_num_threads(1)
torch.manual_seed(0)
at = int(sys.argv[2])
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD([model.weight], lr=0.05)  # the bias was forgotten
x = torch.randn(64, 4)
with lvmcheck.record(sys.argv[1], config={"epochs": 3}, seed=0, resume="auto") as rec:
    for epoch in range(rec.epochs + 1, 4):
        for step in range(20):
            if rec.steps == at:
                os.kill(os.getpid(), signal.SIGKILL)
            optimizer.zero_grad()
            loss = ((model(x) - x[:, :1] - 1) ** 2).mean()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss.item())
        rec.epoch(epoch, val_loss=loss.item())
"""
ALL_FILES = {"run.json", "events.jsonl", "done.json", "writer.lock"}


def looped(folder: Path, at: int) -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, str(folder / "loop.py"), str(folder / "run"), str(at)]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=False).returncode


def judged(folder: Path) -> dict[str, Status]:
    """What ``lvmcheck check`` decides."""
    return {it.name: it.status for it in evaluate(as_it_stands(open_run(folder / "run")))}


@pytest.mark.parametrize("at", [*range(60)] if FULL else [33])
def test_a_watched_recording_that_is_killed(at: int, tmp_path: Path) -> None:
    """What it found before it was killed it says afterwards, no other file is left, and the verdict is the same."""
    (tmp_path / "loop.py").write_text(LOOP)
    assert looped(tmp_path, at) == -signal.SIGKILL
    found = judged(tmp_path)
    assert found["run_completed"] is Status.FAILED
    assert found["missing_from_optimizer"] is (Status.FAILED if at else Status.NOT_RECORDED)
    assert {path.name for path in (tmp_path / "run").iterdir()} <= ALL_FILES
    assert looped(tmp_path, -1) == 0
    found = judged(tmp_path)
    assert (found["run_completed"], found["missing_from_optimizer"]) == (Status.PASSED, Status.FAILED)
    assert {path.name for path in (tmp_path / "run").iterdir()} <= ALL_FILES


if __name__ == "__main__":
    main()
