"""A damaged checkpoint gives way to the one before it, to the bit, and the run says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from lvmcheck.errors import InputError
from lvmcheck.run import events as ev
from lvmcheck.run.directory import cut_to_checkpoint, damage, load
from lvmcheck.run.view import Run
from models.checkpoints.checkpoint import published
from suites.trainers.vector_kit import TINY, curves, final_tensors, of, run

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("whole") / "run", TINY)


@pytest.fixture
def folder(whole: Run, tmp_path: Path) -> Path:
    """The finished run, to be spoiled."""
    assert whole.path is not None
    return Path(shutil.copytree(whole.path, tmp_path / "run"))


@pytest.mark.parametrize("victim", ["weights.safetensors", "state.json", "manifest.json", "probe.safetensors"])
@pytest.mark.parametrize("how", ["cut", "flip", "lost"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(folder: Path, victim: str, how: str) -> None:
    before, last = published(folder / "checkpoints", "last")
    spoil(last / victim, how)
    chosen = cut_to_checkpoint(folder)
    assert chosen == before
    assert (last.with_name(f"{last.name}.broken")).is_dir(), "kept, under a name that nothing reads"
    noted = [event.text for event in of(load(folder), ev.Note) if "cannot be used" in event.text]
    assert len(noted) == 1
    assert noted[0].startswith(f"checkpoint {last.name} cannot be used: ")
    assert victim in noted[0]
    assert noted[0].endswith(f"; continued from {before.name}")
    assert cut_to_checkpoint(folder) == chosen, "cut twice is cut once"


def spoil(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "lost":
        path.unlink()
    else:
        path.write_bytes(content if how == "flip" else content[: len(content) // 2])


def test_the_run_continues_to_the_bit_from_the_checkpoint_before(whole: Run, folder: Path) -> None:
    last = published(folder / "checkpoints", "last")[-1]
    spoil(last / "weights.safetensors", "cut")
    continued = run(folder, TINY, resume=cut_to_checkpoint(folder))
    assert curves(continued) == curves(whole)
    assert whole.path is not None
    one, other = final_tensors(folder), final_tensors(whole.path)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_where_none_is_whole_the_trainer_refuses_the_newest(folder: Path) -> None:
    kept = published(folder / "checkpoints", "last")
    for path in kept:
        spoil(path / "state.json", "cut")
    assert cut_to_checkpoint(folder) == kept[-1]
    assert published(folder / "checkpoints", "last") == kept
    with pytest.raises(InputError, match=r"state\.json: expected .* bytes, got .*: changed or cut off"):
        run(folder, TINY, resume=kept[-1])


def test_a_checkpoint_without_a_manifest_is_taken_as_it_is(tmp_path: Path) -> None:
    """Other trainers write what they like: what cannot be checked is left to their own reader."""
    assert damage(tmp_path) is None
    assert damage(tmp_path, manifest=True) == "it has no manifest.json"


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"files":3,"sha256":"0"}\n', b"[" * 100_000],
    ids=["empty", "list", "cut", "files", "deep"],
)
def test_a_manifest_that_is_none_is_damage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    assert "manifest.json" in (damage(tmp_path) or "")


def test_nothing_outside_the_run_is_renamed(folder: Path) -> None:
    """Events from elsewhere may point anywhere."""
    kept = published(folder / "checkpoints", "last")
    outside = folder.parent / "outside"
    shutil.move(kept[-1], outside)
    (outside / "state.json").unlink()
    events = folder / "events.jsonl"
    events.write_text(events.read_text().replace(f"checkpoints/{kept[-1].name}", "../outside"))
    assert cut_to_checkpoint(folder) == kept[-2]
    assert outside.is_dir()
