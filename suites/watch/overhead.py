"""What watching costs: time of a step with and without it, in interleaved turns of one process, and memory.

``python -m suites.watch.overhead`` prints one line for each model. A turn is a fixed number of steps; the turns of
both sides alternate, and the ratio of their medians is shown, with the quartiles of the ratios of neighbouring turns.
``--beginning`` prints what the first steps cost, which are measured densely, and ``--memory`` the peak of resident
memory, of processes that train with and without it.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck import record
from models.lvm.amn import AMN

WARM_UP = 400
"""Steps after which the first ones, which are measured densely, are over."""
BEGINNINGS = (20, 200, 400, 1000)
"""Numbers of steps after which ``--beginning`` says what they cost."""
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass
class Side:
    """A model that trains, and the seconds of each of its turns."""

    step: Callable[[], None]
    model: nn.Module
    seconds: list[float]


def amn(device: str) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """AMN at its default widths, batch 512, five vectors of context."""
    inputs, targets = torch.randn(512, 5, 768, device=device), F.normalize(torch.randn(512, 768, device=device), dim=1)
    return AMN().to(device), lambda model: F.mse_loss(model(inputs), targets)


class LanguageModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(1000, 128)
        layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.1, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(128, 1000)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1], device=tokens.device)
        return self.head(self.blocks(self.embed(tokens), mask, is_causal=True))  # type: ignore[no-any-return]


def transformer(device: str) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """Four layers of width 128, batch 16 of 64 tokens, 1,000 words."""
    tokens = torch.randint(1000, (16, 65), device=device)
    return LanguageModel().to(device), lambda model: F.cross_entropy(
        model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()
    )


def convolutional(device: str) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """Three convolutions with batch norm, batch 64 of 32 x 32 pixels."""
    images, labels = torch.randn(64, 3, 32, 32, device=device), torch.randint(10, (64,), device=device)
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 10))
    return model.to(device), lambda model: F.cross_entropy(model(images), labels)


def tiny(device: str) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """Three layers, batch 128 of 32 numbers: a toy, of which a step takes about a millisecond."""
    inputs, labels = torch.randn(128, 32, device=device), torch.randint(10, (128,), device=device)
    sizes = (32, 128, 128)
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(128, 10)).to(device), lambda model: F.cross_entropy(model(inputs), labels)


MODELS = {"amn": amn, "transformer": transformer, "convolutional": convolutional, "tiny": tiny}


def side(name: str, device: str, folder: Path | None) -> Side:
    """A program that trains, watched where ``folder`` is given."""
    torch.manual_seed(0)
    model, loss_of = MODELS[name](device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    recorder = None if folder is None else record(folder / name)
    if recorder is not None:
        recorder.watch(model, optimizer)

    def step() -> None:
        loss = loss_of(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return Side(step, model, [])


def measure(name: str, device: str, turns: int, steps: int, folder: Path, clock: Callable[[], float]) -> None:
    """Print the ratio for one model."""
    sides = [side(name, device, None), side(name, device, folder)]
    for each in sides:
        for _ in range(WARM_UP):
            each.step()
    for turn in range(turns):
        for each in sides if turn % 2 else reversed(sides):
            if device == "cuda":
                torch.cuda.synchronize()
            began = clock()
            for _ in range(steps):
                each.step()
            if device == "cuda":
                torch.cuda.synchronize()
            each.seconds.append((clock() - began) / steps)
    plain, watched = (statistics.median(each.seconds) for each in sides)
    ratios = [b / a for a, b in zip(sides[0].seconds, sides[1].seconds, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"{name:14} {1e3 * plain:8.3f} ms a step, watched {1e3 * watched:8.3f} ms: "
        f"{watched / plain:.4f}x (turn by turn {middle:.4f}x, quartiles {low:.4f} to {high:.4f}), "
        f"{turns} turns of {steps} steps"
    )


def beginning(name: str, device: str, steps: int, folder: Path, clock: Callable[[], float]) -> None:
    """Print what the first steps cost in all: both sides step in turn, from their first step on."""
    side(name, device, folder / "warm").step()  # what torch and lvmcheck import is not the first step's
    plain, began = side(name, device, None), clock()
    watched = side(name, device, folder)
    starts = clock() - began
    said = []
    for step in range(1, steps + 1):
        for each in (plain, watched) if step % 2 else (watched, plain):
            began = clock()
            each.step()
            each.seconds.append(clock() - began)
        if step in BEGINNINGS:
            without, more = sum(plain.seconds), sum(watched.seconds) - sum(plain.seconds)
            said.append(f"{step} steps {1 + more / without:.3f}x (+{1e3 * more:.0f} ms)")
    usual = 1e3 * statistics.median(plain.seconds)
    print(f"{name:14} {usual:8.3f} ms a step, model and watch() {1e3 * starts:.0f} ms: {', '.join(said)}")


def memory(name: str) -> None:
    """Print the peak of tensors on a CUDA device with and without watching."""
    peaks = []
    for with_watch in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            torch.cuda.reset_peak_memory_stats()
            each = side(name, "cuda", Path(folder) if with_watch else None)
            for _ in range(30):
                each.step()
            peaks.append(torch.cuda.max_memory_allocated())
            del each
    plain, watched = peaks
    shown = f"peak of tensors {plain / 1e6:.1f} MB, watched {watched / 1e6:.1f} MB"
    print(f"{name:14} {shown}: {watched / plain:.4f}x")


def resident(name: str, steps: int) -> None:
    """Print the peak of resident memory on the CPU, each side in a process of its own."""
    peaks = []
    for how in ("plain", "watched"):
        command = [sys.executable, "-m", "suites.watch.overhead", name, "--peak-of", how, "--steps", str(steps)]
        peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    shown = f"peak of resident memory {peaks[0]:.1f} MB, watched {peaks[1]:.1f} MB, after {steps} steps"
    print(f"{name:14} {shown}: {peaks[1] / peaks[0]:.4f}x")


def peak(name: str, steps: int, *, watched: bool) -> float:
    """The peak of resident memory of this process in MB after so many steps."""
    with tempfile.TemporaryDirectory() as folder:
        each = side(name, "cpu", Path(folder) if watched else None)
        for _ in range(steps):
            each.step()
        unit = 1e6 if sys.platform == "darwin" else 1e3
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn, about")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--clock", choices=["wall", "cpu"], default="wall", help="cpu: time of this process, on a machine that is busy"
    )
    parser.add_argument("--beginning", action="store_true", help="what the first --steps cost, from the first one on")
    parser.add_argument("--memory", action="store_true", help="resident memory on the CPU in place of times")
    parser.add_argument("--steps", type=int, default=70, help="steps after which it is read")
    parser.add_argument("--peak-of", choices=["plain", "watched"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.models:
        if options.peak_of is not None:
            print(peak(name, options.steps, watched=options.peak_of == "watched"))
            continue
        if options.memory:
            resident(name, options.steps)
            continue
        if options.beginning:
            with tempfile.TemporaryDirectory() as folder:
                beginning(name, options.device, options.steps, Path(folder), CLOCKS[options.clock])
            continue
        with tempfile.TemporaryDirectory() as folder:
            probe = side(name, options.device, None)
            for _ in range(5):
                probe.step()
            began = time.perf_counter()
            for _ in range(5):
                probe.step()
            steps = max(5, round(options.seconds / ((time.perf_counter() - began) / 5)))
            measure(name, options.device, options.turns, steps, Path(folder), CLOCKS[options.clock])
        if options.device == "cuda":
            memory(name)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
