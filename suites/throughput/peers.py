"""AMN trained by our trainer, by loops written by hand, and by Lightning, the Hugging Face Trainer and Accelerate.

Every loop trains one epoch from the same weights on the same batches in the same order, with the same loss, clipping
and AdamW, and is timed from the first batch to the end of the last: what comes before and after is not counted.
Whatever a library can leave out is left out: logging, checkpoints, progress, validation.

AMN is ours, whose forward and backward leave out what no parameter needs, or as a page of PyTorch has it: a trainer is
compared by the first, and what somebody has who uses nothing of this repository by the second.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lvmcheck.run.start import record
from lvmcheck.testing.speed.stopwatch import Place, clock
from models.data.loader import Loader, epoch_order
from models.lvm.amn import AMN
from models.trainers.loop import train_step
from models.trainers.vector import VectorTask
from models.trainers.vector_config import parse
from suites.throughput.loops import run_config

Trained = tuple[float, nn.Module]
"""Seconds of the epoch by the stopwatch, and the model at its end."""


class AsWritten(AMN):
    """AMN as the original project wrote it, with a key for each context vector (history 1); the same parameters."""

    def raw(self, x: Tensor) -> Tensor:
        baseline = x.mean(dim=1)
        scores = torch.bmm(self.key(x), self.query(baseline).unsqueeze(2)).squeeze(2) * self.scale
        mixture = (torch.softmax(scores, dim=1).unsqueeze(2) * x).sum(dim=1)
        residual: Tensor = self.residual(torch.cat((baseline, mixture), dim=1))
        return baseline + residual


@dataclass(frozen=True)
class Task:
    """What every loop is given.

    Attributes:
        config: the [run] table of our trainer, that says the same as the rest.
        initial: weights of AMN. context, target: [N, T, D] and [N, D], all in memory.
        order: the N windows in the order of the epoch.
        folder: where files may be written. kind: the class of AMN that all loops but ours train.
    """

    config: dict[str, object]
    initial: Mapping[str, Tensor]
    context: Tensor
    target: Tensor
    order: list[int]
    batch: int
    lr: float
    weight_decay: float
    clip: float
    folder: Path
    kind: type[AMN] = AMN

    @classmethod
    def make(cls, batch: int, steps: int, folder: Path, *, threads: int = 1, **changes: object) -> Task:
        """An epoch of ``steps`` batches of the twin; ``changes`` are of the [run] table."""
        place = Place(torch.device("cpu"), threads)
        config = {**run_config(batch, place, sequences=steps * batch), "schedule": "constant", "warmup_steps": 0}
        config |= changes
        cfg = parse(config)
        torch.manual_seed(cfg.seed)
        trained = VectorTask.make(cfg)
        windows = trained.data.train_epoch(1)
        context, target = (part.clone() for part in Loader(windows, len(windows), place.device).gather(slice(None)))
        initial = {name: value.clone() for name, value in trained.model.state_dict().items()}
        order = epoch_order(cfg.seed, 1, len(windows)).tolist()
        return cls(config, initial, context, target, order, batch, cfg.lr, cfg.weight_decay, cfg.clip_norm, folder)

    def model(self) -> AMN:
        """AMN at the initial weights."""
        model = self.kind()
        model.load_state_dict(self.initial)
        return model.train()

    def adamw(self, model: nn.Module, *, fused: bool) -> AdamW:
        """The optimizer: torch's fused one, or the one that torch chooses where nobody says."""
        return AdamW(
            model.parameters(), lr=self.lr, weight_decay=self.weight_decay, **({"fused": True} if fused else {})
        )

    def loader(self, dataset: Dataset[Any]) -> DataLoader[Any]:
        """Batches as most loops draw them: item by item, put together by torch, in this process."""
        return DataLoader(dataset, self.batch, sampler=self.order)

    def pairs(self) -> TensorDataset:
        """Context and target of each window."""
        return TensorDataset(self.context, self.target)


# -- ours, and by hand -------------------------------------------------------------------------------------------------
def ours(task: Task) -> Trained:
    """The vector trainer: draws its batches, reports each step with its cosine, and asks whether to stop."""
    cfg = parse(task.config)
    trained = VectorTask.make(cfg)
    trained.model.load_state_dict(task.initial)
    trained.model.train()
    number = len(list(task.folder.glob("run*")))
    recorder = record(task.folder / f"run{number}", window=cfg.window)
    loader = Loader(trained.data.train_epoch(1), cfg.batch_size, trained.device)
    began = clock()
    for pair in loader.shuffled(cfg.seed, 1):
        train_step(trained, [pair], recorder)
        if recorder.stop:
            raise RuntimeError("nobody asked this run to stop")
    return clock() - began, trained.model


def by_hand(task: Task) -> Trained:
    """As fast as a page of PyTorch is: data in memory, a gather for each batch, fused AdamW, no number read."""
    model = task.model()
    optimizer, parameters = task.adamw(model, fused=True), list(model.parameters())
    order = torch.tensor(task.order)
    began = clock()
    for chosen in order.split(task.batch):
        loss = F.mse_loss(model.raw(task.context[chosen]), task.target[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, task.clip)
        optimizer.step()
    return clock() - began, model


def as_usual(task: Task) -> Trained:
    """As tutorials write it: a DataLoader, the default optimizer, the loss summed for the log."""
    model = task.model()
    optimizer, batches, total = task.adamw(model, fused=False), task.loader(task.pairs()), 0.0
    began = clock()
    for context, target in batches:
        optimizer.zero_grad()
        loss = F.mse_loss(model.raw(context), target)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), task.clip)
        optimizer.step()
        total += loss.item()
    return clock() - began, model


# -- libraries ---------------------------------------------------------------------------------------------------------
def lightning(task: Task, *, fused: bool) -> Trained:
    """Lightning's Trainer in its barebones mode, which is there to measure raw speed."""
    from lightning.pytorch import LightningModule, Trainer

    class Module(LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = task.model()
            self.began = self.ended = 0.0

        def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
            context, target = batch
            return F.mse_loss(self.model.raw(context), target)

        def configure_optimizers(self) -> AdamW:
            return task.adamw(self.model, fused=fused)

        def on_train_epoch_start(self) -> None:
            self.began = clock()

        def on_train_epoch_end(self) -> None:
            self.ended = clock()

    module = Module()
    where = {"accelerator": "cpu", "devices": 1, "default_root_dir": task.folder}
    trainer = Trainer(max_epochs=1, gradient_clip_val=task.clip, barebones=True, **where)
    trainer.fit(module, task.loader(task.pairs()))
    return module.ended - module.began, module.model


def hugging_face(task: Task) -> Trained:
    """The Hugging Face Trainer with its default optimizer, fused AdamW, over all parameters alike."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Objective(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = task.model()

        def forward(self, context: Tensor, target: Tensor) -> dict[str, Tensor]:
            return {"loss": F.mse_loss(self.model.raw(context), target)}

    class Named(Dataset[dict[str, Tensor]]):
        def __len__(self) -> int:
            return len(task.order)

        def __getitem__(self, index: int) -> dict[str, Tensor]:
            return {"context": task.context[index], "target": task.target[index]}

    class Times(TrainerCallback):  # type: ignore[misc]
        began = ended = 0.0

        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            self.began = clock()

        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            self.ended = clock()

    class InOrder(Trainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any) -> list[int]:
            return task.order

    settings: dict[str, Any] = {
        "per_device_train_batch_size": task.batch,
        "num_train_epochs": 1,
        "max_grad_norm": task.clip,
        "lr_scheduler_type": "constant",
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": "none",
        **dict.fromkeys(("logging_strategy", "save_strategy", "eval_strategy"), "no"),
    }
    objective, times = Objective(), Times()
    trainer = InOrder(
        model=objective,
        args=TrainingArguments(str(task.folder / "hf"), **settings),
        train_dataset=Named(),
        optimizers=(task.adamw(objective, fused=True), None),
        callbacks=[times],
    )
    trainer.train()
    return times.ended - times.began, objective.model


def accelerate(task: Task) -> Trained:
    """A loop with Accelerate: DataLoader, fused AdamW, its backward and its clipping."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    bare = task.model()
    model, optimizer, batches = accelerator.prepare(bare, task.adamw(bare, fused=True), task.loader(task.pairs()))
    began = clock()
    for context, target in batches:
        optimizer.zero_grad()
        loss = F.mse_loss(model.raw(context), target)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), task.clip)
        optimizer.step()
    return clock() - began, model


@dataclass(frozen=True)
class Peer:
    """A way to train: its name, what it needs installed, what was chosen for it, and the AMN that it trains."""

    name: str
    loop: Callable[[Task], Trained]
    needs: tuple[str, ...] = ()
    how: str = ""
    kind: type[AMN] = AMN

    @property
    def missing(self) -> list[str]:
        """What is not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]

    def train(self, task: Task) -> Trained:
        """One epoch."""
        return self.loop(replace(task, kind=self.kind))


OURS = Peer("vector trainer", ours, how="batches of its own, cosine and recorder at each step")
FAST = Peer("by hand, fast", by_hand, how="windows in memory, a gather a batch, fused AdamW, nothing read")
USUAL = Peer("by hand, as usual", as_usual, how="DataLoader, default AdamW, loss.item()")
LIGHTNING = Peer("Lightning", partial(lightning, fused=False), ("lightning",), "barebones, DataLoader, default AdamW")
LIGHTNING_FUSED = Peer("Lightning, fused", partial(lightning, fused=True), ("lightning",), "the same with fused AdamW")
HUGGING_FACE = Peer(
    "Hugging Face Trainer", hugging_face, ("transformers", "accelerate"), "fused AdamW, its default; DataLoader"
)
ACCELERATE = Peer("Accelerate", accelerate, ("accelerate",), "DataLoader, fused AdamW")


def as_written(peer: Peer) -> Peer:
    """The same way to train, with the AMN of a page of PyTorch."""
    return replace(peer, name=f"{peer.name} (AMN as written)", kind=AsWritten)


PEERS = (
    *(FAST, USUAL, LIGHTNING, LIGHTNING_FUSED, HUGGING_FACE, ACCELERATE),
    *map(as_written, (FAST, USUAL, LIGHTNING, HUGGING_FACE)),
)
