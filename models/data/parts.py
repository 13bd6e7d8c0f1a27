"""What a source of data hands to the dataset, whatever it was made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from models.data.baselines import Predict
from models.data.store import Windows


@dataclass(frozen=True)
class Parts:
    """The windows of one source.

    Attributes:
        name: of the data, for reports.
        split: the way train and validation were parted, as it was really done.
        train: windows of an epoch (1-based); the same object every time where epochs do not differ.
        validation, ood: evaluated as they are.
        notes: what a reader of the result has to know.
        optimal: the best possible predictor of "validation" or of an OOD set's name, where it is known.
        grouped: what the articles of the rows are (:class:`models.data.readers.loaded.Loaded`).
        whole: all windows of the source, where train and validation were parted from them here.
        left_article: windows that the source lists although they leave their article; they are not used.
    """

    name: str
    split: str
    train: Callable[[int], Windows]
    validation: Windows
    ood: Mapping[str, Windows] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    optimal: Mapping[str, Predict] = field(default_factory=dict)
    grouped: str = "article"
    whole: Windows | None = None
    left_article: int = 0
