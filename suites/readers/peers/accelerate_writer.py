"""Trains with Accelerate and its tracker: argument 1 is the run directory."""

import sys

import torch
from accelerate import Accelerator

from lvmcheck.integrations.accelerate import LvmcheckTracker

accelerator = Accelerator(cpu=True, log_with=LvmcheckTracker(sys.argv[1], seed=0))
accelerator.init_trackers("p", config={"epochs": 2, "lr": 0.1})
torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
data = torch.utils.data.DataLoader(torch.randn(32, 4), batch_size=8)
model, optimizer, data = accelerator.prepare(model, optimizer, data)
step = 0
for epoch in range(1, 3):
    for x in data:
        optimizer.zero_grad()
        loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
        accelerator.backward(loss)
        optimizer.step()
        step += 1
        accelerator.log({"train_loss": loss.item(), "lr": 0.1}, step=step)
    accelerator.log({"epoch": epoch, "val_loss": loss.item()}, step=step)
    accelerator.log({"halting": 1.5}, step=step)
accelerator.end_training()
