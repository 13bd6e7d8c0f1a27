"""Trains a classifier with the Hugging Face Trainer: argument 1 is the run directory, 2 what is wrong."""

import sys

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from lvmcheck.integrations.huggingface import LvmcheckCallback

folder, how = sys.argv[1:]


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.ReLU())
        self.head = nn.Linear(32, 3)

    def forward(self, rows: Tensor, labels: Tensor) -> dict[str, Tensor]:
        hidden = self.body(rows)
        logits = self.head(hidden.detach() if how == "cut" else hidden)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


torch.manual_seed(0)
values = torch.randn(576, 8)
data = [{"rows": row, "labels": row[:3].argmax()} for row in values]
arguments = TrainingArguments(
    output_dir=f"{folder}_out",
    num_train_epochs=2,
    per_device_train_batch_size=32,
    logging_steps=1,
    eval_strategy="epoch",
    save_strategy="no",
    learning_rate=1e-2,
    report_to=[],
    disable_tqdm=True,
    use_cpu=True,
    dataloader_pin_memory=False,
)
model = Classifier()
more = {"optimizers": (torch.optim.Adam(model.body.parameters(), 1e-2), None)} if how == "head" else {}
callbacks = [LvmcheckCallback(folder, watch=True, on_fail="stop")]
Trainer(model, arguments, train_dataset=data[:512], eval_dataset=data[512:], callbacks=callbacks, **more).train()
