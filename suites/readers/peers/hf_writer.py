"""Trains with the Hugging Face Trainer: argument 1 is the output folder, 2 "epoch" or "steps".

Argument 3 is a run directory, 4 "early" for a training that the Trainer's own EarlyStoppingCallback ends.
"""

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments

folder, how, *record = sys.argv[1:]


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(4, 1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        y = self.head(x)
        return {"loss": torch.nn.functional.mse_loss(y, labels), "logits": y}


torch.manual_seed(0)
rows = [{"x": (x := torch.randn(4)), "labels": x.sum().reshape(1)} for _ in range(32)]
arguments = TrainingArguments(
    output_dir=folder,
    num_train_epochs=9 if record[1:] else 3,
    per_device_train_batch_size=8,
    logging_steps=2,
    eval_strategy=how,
    eval_steps=3,
    save_strategy="epoch",
    load_best_model_at_end=bool(record[1:]),
    metric_for_best_model="eval_loss",
    learning_rate=0.1,
    report_to=[],
    disable_tqdm=True,
    use_cpu=True,
    dataloader_pin_memory=False,
)
callbacks = []
if record:
    from lvmcheck.integrations.huggingface import LvmcheckCallback

    callbacks = [LvmcheckCallback(record[0]), *([EarlyStoppingCallback(2, 1e9)] if record[1:] else [])]
trainer = Trainer(Model(), arguments, train_dataset=rows, eval_dataset=rows[:8], callbacks=callbacks)
trainer.train()
trainer.evaluate()
trainer.save_state()
