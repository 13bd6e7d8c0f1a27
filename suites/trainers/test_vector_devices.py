"""Number formats, compilation, and devices that lack memory or operations."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lvmcheck.errors import InputError
from lvmcheck.run import events as ev
from models.fast import amn_backward
from models.runtime.out_of_memory import is_out_of_memory, largest_that_fits, report_out_of_memory
from models.runtime.session import FALLBACK, pick_device
from suites.trainers.vector_kit import TINY, of, run

torch.set_num_threads(1)


def cosines(folder: Path, **changes: object) -> list[float]:
    return [event.metrics["val_cosine"] for event in of(run(folder, {**TINY, **changes}), ev.Epoch)]


def test_bf16_trains_other_weights_to_about_the_same_cosine(tmp_path: Path) -> None:
    whole, half = cosines(tmp_path / "whole"), cosines(tmp_path / "half", precision="bf16")
    assert whole != half
    assert half == pytest.approx(whole, abs=5e-3)


def test_a_run_records_its_number_format(tmp_path: Path) -> None:
    (device,) = of(run(tmp_path / "run", {**TINY, "epochs": 1, "precision": "bf16"}), ev.Device)
    assert device.kind == "cpu"
    assert "bf16" in device.about


@pytest.mark.skipif(os.environ.get("LVM_THROUGHPUT") != "full", reason="LVM_THROUGHPUT=full: compiles for 30 s")
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own compiler, when it is imported
def test_a_compiled_model_trains_as_the_same_model(tmp_path: Path) -> None:
    once = {"epochs": 1, "batch_size": 60}  # batches of one size: each size is compiled anew
    plain, compiled = cosines(tmp_path / "plain", **once), cosines(tmp_path / "compiled", **once, compile=True)
    assert compiled == pytest.approx(plain, abs=1e-5)


def test_tf32_is_cudas_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.precision: only cuda has tf32, the device is cpu"):
        run(tmp_path / "run", {**TINY, "precision": "tf32"})


@pytest.mark.own_process
def test_mps_that_would_silently_compute_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("mps").type == "mps"
    monkeypatch.setenv(FALLBACK, "1")
    with pytest.raises(InputError, match="operations that MPS does not have would run on the CPU"):
        pick_device("mps")


def test_a_device_without_memory_names_the_batch_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = amn_backward.forward

    def small_device(x: Tensor, scale: float, w: amn_backward.Weights) -> tuple[Tensor, amn_backward.ForwardCache]:
        if len(x) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore lines.")
        return computed(x, scale, w)

    monkeypatch.setattr(amn_backward, "forward", small_device)
    with pytest.raises(InputError) as caught:
        run(tmp_path / "run", {**TINY, "eval_batch_size": 8})
    said = str(caught.value)
    assert "run.batch_size: no memory left at 32 rows a batch: CUDA out of memory. Tried to allocate 2.00 GiB." in said
    assert "batch_size = 8 fits." in said
    assert "More lines" not in said


@pytest.mark.parametrize(
    ("problem", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 1 bytes"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_are_about_memory(problem: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(problem) == is_memory


def test_other_errors_pass_and_one_row_may_be_too_many() -> None:
    with pytest.raises(RuntimeError, match="device-side"), report_out_of_memory("x", 8, lambda rows: rows):
        raise RuntimeError("device-side assert")

    def never(rows: int) -> None:
        raise MemoryError(rows)

    assert largest_that_fits(64, never) is None
    with pytest.raises(InputError, match="Not even one row fits"), report_out_of_memory("x", 8, never):
        raise MemoryError
