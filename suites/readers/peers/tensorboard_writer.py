"""Writes TensorBoard event files with torch's writer: argument 1 is the folder, 2 how epochs are told."""

import sys

from torch.utils.tensorboard import SummaryWriter

folder, how = sys.argv[1:]
with SummaryWriter(folder) as writer:
    if how == "many":
        for step in range(1, 20_001):
            writer.add_scalar("train/loss", 1.0 / step, step)
    for epoch in range(1, 6):
        step = epoch if how == "epochs" else 100 * epoch
        if how == "steps":
            for inner in range(step - 99, step + 1):
                writer.add_scalar("train/loss", 1.0 / inner, inner)
                writer.add_scalar("train/lr", 0.1, inner)
        if how == "stated":
            writer.add_scalar("epoch", epoch - 1, step)
        if how != "many":
            writer.add_scalar("validation/loss", float("nan") if epoch == 4 else 1.0 / epoch, step)
            writer.add_scalar("validation/cosine", 0.1 * epoch, step)
    writer.add_text("about", "text is no metric")
