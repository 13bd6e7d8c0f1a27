"""All findings of the doctor."""

from __future__ import annotations

import os
from pathlib import Path

from lvmcheck.commands.doctor.busy import busy
from lvmcheck.commands.doctor.item import Item
from lvmcheck.commands.doctor.machine import machine
from lvmcheck.commands.doctor.packages import packages
from lvmcheck.commands.doctor.runs_folder import runs_folder
from lvmcheck.commands.doctor.torch_probe import torch


def examine(root: Path, folder: Path, *, ask_torch: bool = True) -> list[Item]:
    """Findings by group.

    Args:
        root: the working directory. folder: where runs are kept. ask_torch: whether another process imports torch.
    """
    environment = dict(os.environ)
    return [*machine(environment), *busy(), *torch(ask=ask_torch), *packages(environment), *runs_folder(root, folder)]
