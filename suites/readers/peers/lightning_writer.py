"""Trains with Lightning: argument 1 is the folder of the logs, 2 the logger.

Arguments 3 and 4 are a run directory and how many batches are accumulated; with 5 Lightning's own EarlyStopping ends
the training.
"""

import sys
import warnings

warnings.simplefilter("ignore")

import lightning  # noqa: E402
import torch  # noqa: E402
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor  # noqa: E402
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger  # noqa: E402

folder, logger, *record = sys.argv[1:]


class Model(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(4, 1)

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        loss = torch.nn.functional.mse_loss(self.head(batch[0]), batch[0].sum(1, keepdim=True))
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        self.log("val_loss", torch.nn.functional.mse_loss(self.head(batch[0]), batch[0].sum(1, keepdim=True)))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


torch.manual_seed(0)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(32, 4)), batch_size=8)
callbacks: list[lightning.Callback] = [LearningRateMonitor()]
if record:
    from lvmcheck.integrations.lightning import LvmcheckCallback

    lightning.seed_everything(3, verbose=False)
    stopping = [EarlyStopping("val_loss", min_delta=100.0, patience=2)] if record[2:] else []
    callbacks = [LvmcheckCallback(record[0]), *stopping]
lightning.Trainer(
    max_epochs=9 if record[2:] else 3,
    accumulate_grad_batches=int(record[1]) if record[1:] else 1,
    accelerator="cpu",
    logger={"csv": CSVLogger, "tensorboard": TensorBoardLogger}[logger](folder, name="logs") if not record else False,
    callbacks=callbacks,
    log_every_n_steps=2,
    enable_progress_bar=False,
    enable_model_summary=False,
    enable_checkpointing=False,
).fit(Model(), loader, loader)
