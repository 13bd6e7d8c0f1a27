"""The door to all data: ``open_data(run.data, seed=...)`` gives one Dataset whatever the source."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from models.data.config import PathConfig, TwinConfig, parse_data_config
from models.data.figures import Fact, measure
from models.data.gates.beside import Beside
from models.data.gates.measure import gate_facts
from models.data.hashing import digest
from models.data.parts import Parts
from models.data.store import Windows
from models.data.synthetic import open_twin

DEFAULT_CACHE = Path(".lvmcheck") / "cache"


class Dataset:
    """Training epochs, validation and OOD sets of one source, with the figures they are judged against."""

    def __init__(
        self, source: str, parts: Parts, beside: Beside | None = None, texts: Path | tuple[str, ...] | None = None
    ) -> None:
        self.source = source
        self.name = parts.name
        self.split = parts.split
        self.notes = parts.notes
        self.validation = parts.validation
        self.ood = dict(parts.ood)
        self.dim = parts.validation.dim
        self.context = parts.validation.context
        self.texts = texts
        """Those of the corpus, or the file that holds them; None where there are none."""
        self._parts = parts
        self._beside = beside or Beside()
        self._held: tuple[int, Windows] | None = None

    def train_epoch(self, epoch: int) -> Windows:
        """The windows of one epoch (1-based). Only the latest epoch is held, so memory does not grow."""
        if epoch < 1:
            raise ValueError(f"epochs count from 1, got {epoch}")
        if self._held is None or self._held[0] != epoch:
            self._held = None  # let go of the last epoch before the next one is drawn
            self._held = (epoch, self._parts.train(epoch))
        return self._held[1]

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over the vectors and windows of validation, the first epoch and every OOD set."""
        return digest(self.validation, self.train_epoch(1), *(self.ood[name] for name in sorted(self.ood)))

    def facts(self) -> dict[str, Fact]:
        """Sizes and baselines (:func:`models.data.figures.measure`) and gates, measured once."""
        return dict(self._facts)

    @cached_property
    def _facts(self) -> dict[str, Fact]:
        named: dict[str, Fact] = {"name": self.name, "source": self.source, "split": self.split}
        if self.texts is not None:
            named["texts"] = self.texts.name if isinstance(self.texts, Path) else "in memory"
        train = self.train_epoch(1)
        named |= measure(train, self.validation, self.ood, self._parts.optimal)
        return named | gate_facts(train, self._parts, self._beside)


def open_data(config: Mapping[str, object], *, seed: int, cache: Path | None = None) -> Dataset:
    """The dataset that ``run.data`` describes.

    Args:
        config: the table ``run.data`` (:mod:`models.data.config`).
        seed: the run's seed; it draws the twin's training articles and nothing else.
        cache: folder for what is expensive to make (embedded text) or large (a twin of a gigabyte); default
            ``.lvmcheck/cache``.

    Raises:
        InputError: a bad configuration or bad data.
    """
    parsed = parse_data_config(config)
    if isinstance(parsed, TwinConfig):
        return Dataset("twin", open_twin(parsed, seed, cache or DEFAULT_CACHE))
    # Imported here because most runs read no file.
    from models.data.stored import open_path, open_text

    if isinstance(parsed, PathConfig):
        from models.data.gates.texts import texts_beside

        texts = Path(parsed.texts) if parsed.texts else texts_beside(Path(parsed.path))
        return Dataset("path", open_path(parsed), parsed.beside, texts)
    from models.data.readers.prose import topics

    return Dataset("text", open_text(parsed, cache or DEFAULT_CACHE), texts=topics().texts)
