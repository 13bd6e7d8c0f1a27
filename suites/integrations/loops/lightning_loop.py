"""Trains a classifier with Lightning: argument 1 is the run directory, 2 what is wrong ("well", "head", "zero")."""

import sys
import warnings

warnings.simplefilter("ignore")

import lightning  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from lvmcheck.integrations.lightning import LvmcheckCallback  # noqa: E402

folder, how = sys.argv[1:]


class Classifier(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.BatchNorm1d(32))
        self.head = nn.Linear(32, 3)

    def forward(self, rows: Tensor) -> Tensor:
        return self.head(self.body(rows))  # type: ignore[no-any-return]

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        self.log("val_loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam((self.body if how == "head" else self).parameters(), lr=1e-2)

    def optimizer_zero_grad(self, epoch: int, batch: int, optimizer: torch.optim.Optimizer) -> None:
        if how != "zero":
            super().optimizer_zero_grad(epoch, batch, optimizer)


torch.manual_seed(0)
rows = torch.randn(640, 8)
data = torch.utils.data.TensorDataset(rows, rows[:, :3].argmax(1))
trained, held_out = torch.utils.data.Subset(data, range(512)), torch.utils.data.Subset(data, range(512, 640))
lightning.Trainer(
    max_epochs=2,
    accelerator="cpu",
    logger=False,
    callbacks=[LvmcheckCallback(folder, watch=True, on_fail="stop")],
    enable_progress_bar=False,
    enable_model_summary=False,
    enable_checkpointing=False,
).fit(Classifier(), torch.utils.data.DataLoader(trained, 32, shuffle=True), torch.utils.data.DataLoader(held_out, 64))
