"""Checkpoints: whole or not at all, any change on disk refused, and the loaded model is the one that was saved."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lvmcheck.errors import InputError
from models.checkpoints.atomic import publish_file
from models.checkpoints.checkpoint import (
    Checkpoint,
    Description,
    architecture,
    canonical,
    publish,
    published,
    sha256,
    snapshot,
)
from models.checkpoints.load import load_model, newest, read, restore
from models.checkpoints.state import TrainingState
from models.lvm.amn import AMN

torch.set_num_threads(1)
PARAMS = {"input_dim": 8, "d_model": 4, "hidden_dim": 6}


def model(seed: int = 0, **params: int) -> AMN:
    torch.manual_seed(seed)
    return AMN(**{**PARAMS, **params})


def contexts(rows: int = 4) -> Tensor:
    x = torch.randn(rows, 5, 8, generator=torch.Generator().manual_seed(1))
    return x / x.norm(dim=-1, keepdim=True)


def taken(net: nn.Module, name: str = "last", **more: Any) -> Checkpoint:
    about = Description(
        name=name, kind="amn", params=PARAMS, architecture=architecture(net), epoch=2, step=9, metrics={"val_loss": 0.1}
    )
    state = TrainingState({"t": torch.arange(3)}, {"a": {"b": 1.5}})
    return snapshot(net, contexts(), replace(about, **more), state)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return publish(tmp_path, taken(model()))


def test_round_trip(saved: Path) -> None:
    loaded, checkpoint = load_model(saved)
    original = model().eval()
    assert torch.equal(loaded(contexts()), original(contexts()))
    assert not loaded.training
    assert (checkpoint.about.epoch, checkpoint.about.step, checkpoint.about.metrics) == (2, 9, {"val_loss": 0.1})
    assert checkpoint.state is not None
    assert checkpoint.state.values == {"a": {"b": 1.5}}
    assert torch.equal(checkpoint.state.tensors["t"], torch.arange(3))


def test_a_snapshot_is_not_aliased() -> None:
    net = model()
    checkpoint = taken(net)
    before = {name: tensor.clone() for name, tensor in checkpoint.weights.items()}
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(before[name], tensor) for name, tensor in checkpoint.weights.items())


def test_loading_leaves_the_random_state_alone(saved: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    load_model(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_copied_out_say_what_they_are(saved: Path) -> None:
    from safetensors import safe_open

    with safe_open(saved / "weights.safetensors", "pt") as file:
        said = json.loads(file.metadata()["lvmcheck"])
    assert said["kind"] == "amn"
    assert said["params"] == PARAMS
    assert (said["format"], said["epoch"], said["step"]) == (1, 2, 9)


# -- whole or not at all -----------------------------------------------------------------------------------------------
def test_only_as_many_are_kept_as_asked(tmp_path: Path) -> None:
    for _ in range(4):
        publish(tmp_path, taken(model()), keep=2)
    publish(tmp_path, taken(model(), "best"))
    assert [path.name for path in published(tmp_path, "last")] == ["last-000003", "last-000004"]
    assert [path.name for path in published(tmp_path, "best")] == ["best-000001"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-000001", "last-000003", "last-000004"]


def test_weights_that_are_not_finite_never_replace_finite_ones(saved: Path) -> None:
    broken = model(1)
    with torch.no_grad():
        broken.key.weight[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"expected finite weights, got key\.weight: 1 of 32 values are not finite"):
        publish(saved.parent, taken(broken))
    assert published(saved.parent, "last") == [saved]
    read(saved)


FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
import torch
from lvmcheck.errors import InputError
from models.checkpoints.checkpoint import Description, architecture, publish, snapshot
from models.lvm.amn import AMN
torch.manual_seed(1)
net = AMN(input_dim=64, d_model=32, hidden_dim=64)
about = Description(name="last", kind="amn", params={{}}, architecture=architecture(net), epoch=1, step=1)
taken = snapshot(net, torch.zeros(1, 5, 64), about)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    publish(Path({folder!r}), taken)
except InputError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_previous_checkpoint(saved: Path) -> None:
    digests = {path.name: sha256(path.read_bytes()) for path in saved.iterdir()}
    code = FULL.format(root=str(Path(__file__).parents[2]), folder=str(saved.parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    assert "expected room for" in done.stdout
    assert "bytes, got" in done.stdout
    assert "The previous one is untouched." in done.stdout
    assert [path.name for path in saved.parent.iterdir()] == [saved.name], "nothing half written stays"
    assert {path.name: sha256(path.read_bytes()) for path in saved.iterdir()} == digests


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("in the way", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        publish(place, taken(model()))
    assert place.read_text(encoding="utf-8") == "in the way"


KILLED = """
import builtins, io, os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
import torch
import models.checkpoints.checkpoint as c
from models.lvm.amn import AMN
from models.checkpoints.load import newest, read
folder = Path({folder!r})
net = AMN(input_dim=8, d_model=4, hidden_dim=6)
about = c.Description(name="last", kind="amn", params={params!r}, architecture=c.architecture(net), epoch=7, step=1)
taken = c.snapshot(net, torch.zeros(1, 5, 8), about, c.TrainingState({{"t": torch.zeros(2)}}, {{"a": 1}}))
def doomed(calls):
    left = [calls]
    def dying(function):
        def wrapped(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)
        return wrapped
    for name in ("open", "fsync", "mkdir", "rename", "rmdir", "unlink"):
        setattr(os, name, dying(getattr(os, name)))
    builtins.open = io.open = dying(open)
    while True:
        c.publish(folder, taken)
for calls in range(40):
    child = os.fork()
    if child == 0:
        doomed(calls)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    found, refused = newest(folder, "last")
    assert found is not None and refused == [], (calls, refused)
    for path in c.published(folder, "last"):
        read(path)
print("whole")
"""


def test_a_kill_at_any_system_call_leaves_a_whole_checkpoint(saved: Path) -> None:
    code = KILLED.format(root=str(Path(__file__).parents[2]), folder=str(saved.parent), params=PARAMS)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout == "whole\n", done.stderr
    publish(saved.parent, taken(model()))
    assert not list(saved.parent.glob(".tmp-*")), "what the kills left behind is swept away"


def test_a_published_file_is_exchanged_never_rewritten(tmp_path: Path) -> None:
    path, old = tmp_path / "history.json", tmp_path / "old"
    publish_file(path, b"one")
    os.link(path, old)  # a reader that holds the old file open
    publish_file(path, b"two")
    assert (path.read_bytes(), old.read_bytes()) == (b"two", b"one")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["history.json", "old"]
    with pytest.raises(InputError, match="cannot be written"):
        publish_file(tmp_path / "nowhere" / "history.json", b"three")


# -- changed on disk ---------------------------------------------------------------------------------------------------
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_changed_byte_is_refused(
    saved: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    copy = tmp_path_factory.mktemp("copy") / saved.name
    shutil.copytree(saved, copy)
    victim = copy / data.draw(st.sampled_from(sorted(path.name for path in copy.iterdir())))
    raw = bytearray(victim.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "add", "zero"]))
    if how == "flip":
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "cut":
        del raw[place:]
    elif how == "add":
        raw[place:place] = b" "
    else:
        raw[place : place + 64] = bytes(len(raw[place : place + 64]))
    if bytes(raw) == victim.read_bytes():
        return
    victim.write_bytes(raw)
    with pytest.raises(InputError) as caught:
        load_model(copy)
    assert victim.name in str(caught.value)


@pytest.mark.parametrize("change", [(b",", b", "), (b"{", b'{"format":1,')])
def test_a_manifest_that_only_means_the_same_is_refused(saved: Path, change: tuple[bytes, bytes]) -> None:
    manifest = saved / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(*change, 1))
    with pytest.raises(InputError, match=r"manifest\.json: does not match its own sha256"):
        read(saved)


def rewrite(path: Path, **changes: Any) -> None:
    """A manifest that claims something else and whose digest agrees: a hostile or foreign one."""
    body = json.loads((path / "manifest.json").read_bytes())
    del body["sha256"]
    body |= changes
    (path / "manifest.json").write_bytes(canonical({**body, "sha256": sha256(canonical(body))}))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2}, "format: expected format 1, got 2"),
        ({"files": {}}, "files: expected the file weights.safetensors, got []"),
        ({"kind": "amm"}, "no such model 'amm'. Did you mean 'amn'?"),
        ({"kind": "../../evil"}, "no such model"),
        (
            {"params": {**PARAMS, "d_model": 10**7}},
            "tensors of another model: key.weight expected [10000000, 8] float32",
        ),
        ({"params": {**PARAMS, "widht": 1}}, "no such parameter"),
        ({"params": [1]}, "params: expected an object, got [1]"),
        ({"epoch": True}, "epoch: expected an integer, got True"),
        ({"step": None}, "step: expected an integer, got none"),
        ({"files": []}, "files: expected an object, got []"),
        ({"files": {"weights.safetensors": 3}}, "files.weights.safetensors: expected an object, got 3"),
        ({"files": {"weights.safetensors": {}}}, "files.weights.safetensors.bytes: expected an integer, got none"),
        ({"architecture": "0" * 64}, "expected weights of AMN, got those of another class saved as kind 'amn'"),
    ],
)
def test_a_manifest_that_claims_something_else(saved: Path, changes: dict[str, Any], says: str) -> None:
    rewrite(saved, **changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError) as caught:
        load_model(saved)
    assert says in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "refused before allocating (KiB)"


def replace_file(path: Path, name: str, data: bytes) -> None:
    """Another content under a manifest that agrees with it."""
    (path / name).write_bytes(data)
    files = json.loads((path / "manifest.json").read_bytes())["files"]
    rewrite(path, files={**files, name: {"bytes": len(data), "sha256": sha256(data)}})


@pytest.mark.parametrize(
    ("probe", "says"),
    [
        ({"output": torch.zeros(4, 8)}, "input: expected a tensor with rows, got ['output']"),
        ({"input": torch.zeros(4, 5, 8)}, "output: expected a tensor with rows, got ['input']"),
        ({"input": torch.zeros(0, 5, 8), "output": torch.zeros(0, 8)}, "input: expected a tensor with rows, got an em"),
        ({"input": torch.zeros(4, 8), "output": torch.zeros(4, 8)}, "probe.input: the model cannot take the probe's"),
        ({"input": torch.zeros(4, 5, 8).long(), "output": torch.zeros(4, 8)}, "probe.input: the model cannot take"),
        ({"input": torch.zeros(4, 5, 8), "output": torch.full((4, 8), torch.inf)}, "probe: expected finite probe, got"),
        ({"input": torch.zeros(4, 5, 8), "output": torch.zeros(4, 9)}, "they differ by inf"),
    ],
    ids=["no input", "no output", "no rows", "two axes", "integers", "infinite", "another width"],
)
def test_a_probe_that_cannot_prove_anything_is_refused(saved: Path, probe: dict[str, Tensor], says: str) -> None:
    replace_file(saved, "probe.safetensors", safetensors.torch.save(probe))
    with pytest.raises(InputError) as caught:
        load_model(saved)
    assert says in str(caught.value)


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff", b"[" * 100_000], ids=["list", "cut", "bytes", "deep"])
def test_training_state_that_is_no_json_object_is_refused(saved: Path, content: bytes) -> None:
    replace_file(saved, "state.json", content)
    with pytest.raises(InputError, match=r"state\.json: expected a JSON object, got something else"):
        read(saved)


def test_not_a_checkpoint(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(InputError, match=r"expected a checkpoint with a manifest\.json, got no such folder"):
        read(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="got a folder without it"):
        read(tmp_path / "empty")
    (saved / "weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"weights\.safetensors: expected a file, got none"):
        read(saved)


def test_links_are_not_followed(saved: Path, tmp_path: Path) -> None:
    weights = saved / "weights.safetensors"
    shutil.move(weights, tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"weights\.safetensors: cannot be read"):
        read(saved)


def test_pickle_is_refused_unread(saved: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.system, (f"touch {saved.parent / 'canary'}",))

    torch.save({"x": Bomb()}, saved / "weights.safetensors")
    replace_file(saved, "weights.safetensors", (saved / "weights.safetensors").read_bytes())
    with pytest.raises(InputError, match="expected safetensors, got something else"):
        load_model(saved)
    assert not (saved.parent / "canary").exists()


def test_the_newest_readable_is_found_and_the_broken_one_named(saved: Path) -> None:
    later = publish(saved.parent, taken(model(1)), keep=2)
    (later / "probe.safetensors").write_bytes(b"")
    found, refused = newest(saved.parent, "last")
    assert found is not None
    assert found.path == saved
    assert "last-000002" in str(refused[0])


# -- another model -----------------------------------------------------------------------------------------------------
class SwappedInputs(AMN):
    """Same names, same shapes, another network: what the original project's evaluator loaded (history 6)."""

    def forward(self, x: Tensor, return_raw: bool = False, return_attention: bool = False) -> Any:
        return super().forward(x.flip(-1), return_raw, return_attention)


def test_a_twin_class_with_the_same_tensors_is_refused(saved: Path) -> None:
    other = SwappedInputs(**PARAMS)
    other.load_state_dict(dict(read(saved).weights))  # torch has no objection
    with pytest.raises(InputError, match="expected weights of SwappedInputs, got those of another class"):
        restore(other, read(saved))


def test_changed_code_of_the_same_class_is_refused_by_the_probe(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.softmax
    monkeypatch.setattr(torch, "softmax", lambda scores, dim: original(-scores, dim=dim).roll(1, dim))
    with pytest.raises(InputError, match="probe: expected the outputs that the saved model gave, got others"):
        load_model(saved)


def test_another_width_is_refused(saved: Path) -> None:
    with pytest.raises(
        InputError, match=r"key\.weight expected \[5, 8\] float32, got \[4, 8\] float32; .* and \d+ more"
    ):
        restore(model(d_model=5), read(saved))


def test_half_precision_weights_are_refused_not_cast(saved: Path) -> None:
    with pytest.raises(InputError, match="float16, got"):
        restore(model().half(), read(saved))
