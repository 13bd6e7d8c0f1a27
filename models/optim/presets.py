"""Named settings of MuGrokfast, readable without torch.

What the original project said of theirs is not what ran (history 11): their filter was high-pass, their Newton-Schulz
iteration did not orthogonalise, their "AdamW" was plain SGD, and their steady-state step was about 20 times the named
rate. So a preset carries their numbers, not their behaviour: here each number means what its name says.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """Rates and filter under one name.

    Attributes:
        muon_lr: of the hidden matrices. lr: of everything else.
        grokfast_alpha: decay of the gradient's running mean. grokfast_lambda: its gain.
        about: where the numbers come from, and what was false about them there.
    """

    muon_lr: float
    lr: float
    grokfast_alpha: float
    grokfast_lambda: float
    about: str


PRESETS: dict[str, Preset] = {
    "phase1": Preset(
        1e-3,
        1e-3,
        0.98,
        0.3,
        "what the original project's trainer really constructed: the factory for phase 1, whatever config",
    ),
    "class_default": Preset(
        1e-2, 1e-3, 0.98, 2.0, "the original project's class defaults; never trained with, the factory replaced them"
    ),
    "v1_document": Preset(
        1e-2, 1e-3, 0.98, 0.05, "the documents' 'current settings, too high'; no run used them, those ran with phase1"
    ),
    "reduced": Preset(
        5e-3, 5e-4, 0.98, 0.02, "the documents' '50 % reduction'; never wired, and 5 times the hidden rate that had run"
    ),
    "small": Preset(
        1e-2,
        1e-2,
        0.98,
        0.3,
        "ours, for short runs of small models: the best of seven on one of 0.3 million, 160 steps",
    ),
}
