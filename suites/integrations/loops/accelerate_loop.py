"""Trains a classifier with Accelerate and its tracker: argument 1 is the run directory, 2 what is wrong."""

import sys

import torch
from accelerate import Accelerator
from torch import nn

from lvmcheck.integrations.accelerate import LvmcheckTracker

folder, how = sys.argv[1:]
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
optimizer = torch.optim.Adam((model[0] if how == "head" else model).parameters(), 1e-2)
tracker = LvmcheckTracker(folder, seed=0, watch=(model, optimizer), on_fail="stop")
accelerator = Accelerator(cpu=True, log_with=tracker, gradient_accumulation_steps=2 if how == "accumulates" else 1)
rows = torch.randn(640, 8)
labels = rows[:, :3].argmax(1)
trained = torch.utils.data.TensorDataset(rows[:512], labels[:512])
data = torch.utils.data.DataLoader(trained, 32, shuffle=True)
model, optimizer, data = accelerator.prepare(model, optimizer, data)
accelerator.init_trackers("mine", config={"epochs": 2})
step = 0
for epoch in range(1, 3):
    for batch, wanted in data:
        with accelerator.accumulate(model):
            if how != "zero":
                optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(batch), wanted)
            accelerator.backward(loss)
            optimizer.step()
        step += 1
        accelerator.log({"train_loss": loss.item()}, step=step)
    model.eval()
    with torch.no_grad():
        val_loss = nn.functional.cross_entropy(model(rows[512:]), labels[512:]).item()
    model.train()
    accelerator.log({"epoch": epoch, "val_loss": val_loss}, step=step)
    if tracker.stop:
        break
accelerator.end_training()
