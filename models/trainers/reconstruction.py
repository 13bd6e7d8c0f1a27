"""After training: the predictions for validation windows turned back into text, where the data have texts."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lvmcheck.errors import InputError
from lvmcheck.run.recorder import Recorder
from models.data.dataset import Dataset
from models.reconstruction.bank import bank_of
from models.reconstruction.measure import Predict, compare
from models.runtime.eval_mode import eval_mode


def record(model: nn.Module, data: Dataset, device: torch.device, rec: Recorder) -> None:
    """Reports the evaluation "reconstruction", or why there is none; nothing where the data have no texts."""
    if data.texts is None:
        return
    windows = data.validation
    try:
        bank = bank_of(windows.corpus.vectors, data.texts)
    except InputError as problem:
        rec.note(f"no prediction is turned into text: {problem}")
        return
    with eval_mode(model):
        figures, _ = compare(predictor(model, device), windows, bank)
    rec.evaluation("reconstruction", figures, about=f"validation windows, among {len(bank.texts):,} texts")


def predictor(model: nn.Module, device: torch.device) -> Predict:
    """The model as a function of arrays."""

    def predict(context: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = model(torch.from_numpy(context.copy()).to(device)).float().cpu().numpy()
        return found

    return predict
