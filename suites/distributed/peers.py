"""Trainers of others on two ranks, each stopped by its callback: what every rank saw."""

from __future__ import annotations

import os
import warnings
from typing import Any

import torch
from torch import Tensor, nn

ASKED = 3


def data() -> torch.utils.data.TensorDataset:
    values = torch.randn(128, 6, generator=torch.Generator().manual_seed(0))
    return torch.utils.data.TensorDataset(values, values[:, :3].argmax(1))


def with_lightning(path: str) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    import lightning

    from lvmcheck.integrations.lightning import LvmcheckCallback

    class Asks(lightning.Callback):
        """Rank 1 is asked to stop, as by a signal."""

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_rank == 1 and trainer.global_step == ASKED:
                callback.recorder.ask_to_stop("the test")
            seen.append(trainer.global_step)

    class Classifier(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(6, 3)

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    seen: list[int] = []
    callback = LvmcheckCallback(path)
    lightning.Trainer(
        max_epochs=4,
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        logger=False,
        callbacks=[Asks(), callback],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    ).fit(Classifier(), torch.utils.data.DataLoader(data(), 8))
    return {"steps": seen[-1]}


def with_hugging_face(path: str) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from lvmcheck.integrations.huggingface import LvmcheckCallback

    class Asks(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            if os.environ["RANK"] == "1" and state.global_step == ASKED:
                callback.recorder.ask_to_stop("the test")

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(6, 3)

        def forward(self, rows: Tensor, labels: Tensor) -> dict[str, Tensor]:
            logits = self.net(rows)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    callback = LvmcheckCallback(path)
    arguments = TrainingArguments(
        output_dir=f"{path}_out",
        num_train_epochs=4,
        per_device_train_batch_size=8,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    rows = [{"rows": row, "labels": label} for row, label in data()]
    trainer = Trainer(Classifier(), arguments, train_dataset=rows, callbacks=[Asks(), callback])
    trainer.train()
    return {"steps": trainer.state.global_step}


def with_accelerate(path: str) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    from accelerate import Accelerator

    from lvmcheck.integrations.accelerate import LvmcheckTracker

    tracker = LvmcheckTracker(path, seed=0)
    accelerator = Accelerator(cpu=True, log_with=tracker)
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model, optimizer, loader = accelerator.prepare(model, optimizer, torch.utils.data.DataLoader(data(), 8))
    accelerator.init_trackers("mine", config={"epochs": 4})
    step = 0
    for _ in range(4):
        for rows, labels in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(rows), labels)
            accelerator.backward(loss)
            optimizer.step()
            step += 1
            accelerator.log({"train_loss": loss.item()}, step=step)
            if tracker.recorder is not None and step == ASKED:
                tracker.recorder.ask_to_stop("the test")  # it is there on rank 0 alone
            if tracker.stop:
                accelerator.end_training()
                return {"steps": step}
    return {"steps": step}
