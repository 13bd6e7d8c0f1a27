"""``lvmcheck run``: scripts that know nothing of lvmcheck, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.run.view import Run

LONG = pytest.mark.skipif(os.environ.get("LVM_RELIABILITY") != "full", reason="only with LVM_RELIABILITY=full")

TRAIN = """
import sys
how = sys.argv[1]
import torch
from torch import nn
torch.manual_seed(0)
before = torch.autograd.backward
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(8, 32), nn.ReLU()), nn.Linear(32, 3)
    def forward(self, rows):
        return self.head(self.body(rows))
net = Net()
optimizer = torch.optim.Adam(net.body.parameters() if how == "head" else net.parameters(), 1e-2)
rows = torch.randn(512, 8)
labels = rows[:, :3].argmax(1)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=how == "scaled")
for step in range(1, 61):
    if how == "nan" and step == 5:
        net.head.weight.data[0, 0] = float("nan")
    chosen = torch.randint(512, (32,))
    loss = nn.functional.cross_entropy(net(rows[chosen]), labels[chosen])
    if how != "zero":
        optimizer.zero_grad()
    scaler.scale(loss).backward()
    if how != "step":
        scaler.step(optimizer)
        scaler.update()
    if how == "raises" and step == 30:
        raise ValueError("boom")
    if how == "exits" and step == 30:
        sys.exit(7)
print(f"{loss.item():.6f}")
"""
GAN = """
import torch
from torch import nn
torch.manual_seed(0)
G = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
D = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(), nn.Linear(32, 1))
of_g, of_d = torch.optim.Adam(G.parameters(), 1e-3), torch.optim.Adam(D.parameters(), 1e-3)
bce = nn.BCEWithLogitsLoss()
for _ in range(200):
    real, fake = torch.randn(64, 2) * 0.5 + 1, G(torch.randn(64, 4))
    of_d.zero_grad()
    (bce(D(real), torch.ones(64, 1)) + bce(D(fake.detach()), torch.zeros(64, 1))).backward()
    of_d.step()
    of_g.zero_grad()
    bce(D(fake), torch.ones(64, 1)).backward()
    of_g.step()
"""
PARTS = """
import torch
from torch import nn
torch.manual_seed(0)
body, head, loss_of = nn.Sequential(nn.Linear(8, 32), nn.ReLU()), nn.Linear(32, 3), nn.CrossEntropyLoss()
optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1)
rows = torch.randn(512, 8)
labels = rows[:, :3].argmax(1)
for _ in range(60):
    chosen = torch.randint(512, (32,))
    optimizer.zero_grad()
    loss_of(head(body(rows[chosen])), labels[chosen]).backward()
    optimizer.step()
"""


def lvmcheck_run(folder: Path, text: str, *arguments: str, options: tuple[str, ...] = ()) -> tuple[int, str, str]:
    script = folder / "train.py"
    script.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "lvmcheck.commands.main", "run", *options, script.name, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert "lvmcheck/" not in done.stderr  # no frame of ours in a traceback
    return done.returncode, done.stdout, done.stderr


def failed(run: Run) -> set[str]:
    return {verdict.check for verdict in lvmcheck.evaluate(run) if verdict.status is Status.FAILED}


@pytest.mark.parametrize(
    ("how", "code", "check"),
    [
        ("well", 0, ""),
        ("step", 1, "steps_are_taken"),
        pytest.param("scaled", 0, "", marks=LONG),
        pytest.param("head", 1, "missing_from_optimizer", marks=LONG),
        pytest.param("zero", 1, "gradients_cleared", marks=LONG),
        pytest.param("nan", 1, "first_non_finite", marks=LONG),
    ],
)
def test_silent_faults_of_an_unchanged_script(how: str, code: int, check: str, tmp_path: Path) -> None:
    got, out, err = lvmcheck_run(tmp_path, TRAIN, how)
    assert got == code, err
    if how in ("well", "nan"):
        plain = subprocess.run(
            [sys.executable, "train.py", how], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
        )
        assert out == plain.stdout  # the numbers of the training are the same
    run = lvmcheck.load(tmp_path / "runs" / "train")
    assert (check in failed(run)) if check else not failed(run)
    if how != "step":
        assert run.step == 60
        assert run.windows[0].loss_mean == pytest.approx(1.1, abs=0.3)  # not the one that was scaled
        assert run.windows[0].lr == pytest.approx(1e-2)


def test_it_stops_where_it_is_asked_to(tmp_path: Path) -> None:
    code, out, _ = lvmcheck_run(tmp_path, TRAIN, "zero", options=("--on-fail", "stop", "--into", "mine"))
    run = lvmcheck.load(tmp_path / "mine")
    assert (code, out, (run.done or {})["status"]) == (1, "", "stopped")
    assert run.step < 20


@pytest.mark.parametrize(("how", "code"), [pytest.param("raises", 1, marks=LONG), ("exits", 7)])
def test_the_end_of_the_script_is_its_own(how: str, code: int, tmp_path: Path) -> None:
    got, _, err = lvmcheck_run(tmp_path, TRAIN, how)
    assert got == code
    assert ("ValueError: boom" in err) == (how == "raises")
    assert (lvmcheck.load(tmp_path / "runs" / "train").done or {})["status"] == "failed"


@LONG
@pytest.mark.parametrize("text", [GAN, PARTS], ids=["two_players", "called_in_parts"])
def test_loops_of_several_models(text: str, tmp_path: Path) -> None:
    code, _, err = lvmcheck_run(tmp_path, text)
    assert code == 0, err
    assert not failed(lvmcheck.load(tmp_path / "runs" / "train"))


@pytest.mark.parametrize("text", ["print(1)", "import torch\nprint(torch.ones(2).sum())"], ids=["no_torch", "no_loss"])
def test_where_nothing_can_be_seen_it_says_so(text: str, tmp_path: Path) -> None:
    code, out, err = lvmcheck_run(tmp_path, text)
    assert code == 2
    assert out
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_nothing_stays_behind() -> None:
    code = (
        "import sys, torch\n"
        "was = torch.autograd.backward, torch.amp.GradScaler.scale\n"
        "from lvmcheck.watch.script import Observer\n"
        "from torch.nn.modules import module\n"
        "from torch.optim import optimizer\n"
        "def hooks():\n"
        "    tables = module._global_forward_hooks, module._global_forward_pre_hooks\n"
        "    return [len(t) for t in (*tables, optimizer._global_optimizer_pre_hooks,"
        " optimizer._global_optimizer_post_hooks)]\n"
        "before = hooks()\n"
        "seen = Observer(lambda: None, lambda: None)\n"
        "assert hooks() != before and torch.autograd.backward != was[0]\n"
        "seen.close()\n"
        "assert hooks() == before\n"
        "assert (torch.autograd.backward, torch.amp.GradScaler.scale) == was\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=180)


@pytest.mark.parametrize("case", ["no_script", "holds_a_run"])
def test_bad_input_is_one_line(case: str, tmp_path: Path) -> None:
    if case == "holds_a_run":
        with lvmcheck.record(tmp_path / "mine") as rec:
            rec.step(loss=1.0)
        code, _, err = lvmcheck_run(tmp_path, TRAIN, "well", options=("--into", "mine"))
    else:
        code, _, err = lvmcheck_run(tmp_path, TRAIN, "well", options=("nothing.py",))
    assert code == 2
    assert len(err.splitlines()) == 1
