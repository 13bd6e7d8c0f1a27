"""Writes an offline W&B run: argument 1 is the folder, 2 the exit code."""

import os
import sys

os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
folder, code = sys.argv[1], int(sys.argv[2])
os.environ["WANDB_DIR"] = folder

import wandb  # noqa: E402

with wandb.init(project="p", dir=folder, config={"epochs": 20, "loss": {"mse": 1.0}}) as run:
    for epoch in range(1, 21):
        value = float("nan") if epoch == 7 else 1.0 / epoch
        run.log({"epoch": epoch, "train_loss": value, "val": {"loss": 2.0 / epoch}, "name": "text"})
    if code:
        sys.exit(code)
