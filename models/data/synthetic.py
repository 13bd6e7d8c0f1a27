"""The twin as a source: sound or broken articles for training epochs, validation and the OOD set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from models.data import broken
from models.data.baselines import Predict, sample
from models.data.config import TwinConfig
from models.data.parts import Parts
from models.data.recipes import BREAKAGES, RECIPES, Recipe, Shares
from models.data.store import Corpus, Windows
from models.data.twin import OptimalPredictor, Space, draw_corpus, stream

OOD_NAME = "coherent"
"""The twin's OOD set: articles that keep to their subject more than the training ones."""
_KEEPS_VALIDATION = {"other_encoder", "wrong_norm", "split_duplicated", "split_near_duplicated", "rows_leaked"}


FAULTS: dict[str, Callable[[Corpus, np.random.Generator], Corpus]] = {
    "scrambled": broken.scrambled,
    "null_group": lambda corpus, _: broken.null_group(corpus),
    "shuffled": broken.shuffled,
    "shuffled_in_3": lambda corpus, rng: broken.shuffled_in(corpus, rng, 3),
    "shuffled_in_8": lambda corpus, rng: broken.shuffled_in(corpus, rng, 8),
    "shuffled_in_50": lambda corpus, rng: broken.shuffled_in(corpus, rng, 50),
    "blocks_of_3_moved": lambda corpus, rng: broken.blocks_moved(corpus, rng, 3),
    "blocks_of_8_moved": lambda corpus, rng: broken.blocks_moved(corpus, rng, 8),
    "ids_moved_along": broken.ids_moved_along,
    "articles_joined": lambda corpus, _: broken.articles_joined(corpus),
    "duplicated": broken.duplicated,
    "near_duplicated": lambda corpus, rng: broken.duplicated(corpus, rng, noise=broken.NOISE),
    "wrong_norm": broken.wrong_norm,
    "zero_vectors": broken.zero_vectors,
    "nan": broken.not_a_number,
}
"""Faults of train and validation corpora, in the order in which they are put in."""
LEAKS: dict[str, Callable[[Windows, Windows, np.random.Generator], Windows]] = {
    "split_duplicated": broken.split_duplicated,
    "split_near_duplicated": lambda train, held, rng: broken.split_duplicated(train, held, rng, noise=broken.NOISE),
    "rows_leaked": broken.rows_leaked,
    "article_leaked": broken.articles_leaked,
}
"""Faults that put training rows into validation."""
TRANSFORMS: dict[str, Callable[[Corpus, np.random.Generator], Corpus]] = {
    "centred_validation": lambda corpus, _: broken.centred(corpus),
    "rescaled_validation": lambda corpus, _: broken.rescaled(corpus),
    "rotated_validation": broken.other_encoder,
}
"""Faults of the validation vectors alone."""


@dataclass(frozen=True)
class Twin:
    """A recipe at one size. Training articles come from (recipe, seed, epoch), validation and OOD from the recipe.

    A corpus too large for memory is held in a file of ``folder``, where there is one.
    """

    config: TwinConfig
    seed: int
    folder: Path | None = None

    @property
    def recipe(self) -> Recipe:
        return RECIPES[self.config.recipe]

    @cached_property
    def space(self) -> Space:
        return Space(self.recipe, self.config.dim or self.recipe.dim)

    def train(self, epoch: int) -> Windows:
        """The windows of one epoch (1-based); those of epoch 1 again and again unless the twin is fresh."""
        return self._epoch(epoch) if self.config.fresh else self._first

    @cached_property
    def _first(self) -> Windows:
        """Drawn once: at full size it takes 14 seconds."""
        return self._epoch(1)

    def _epoch(self, epoch: int) -> Windows:
        return self._windows(self.recipe.shares, self.config.sequences, "train", self.seed, epoch)

    @cached_property
    def validation(self) -> Windows:
        shares = self.recipe.ood if self._has("easier_validation") else self.recipe.shares
        windows = self._windows(shares, self.config.val_sequences, "validation")
        rng = stream(self.config.recipe, "broken", "split")
        for name, leak in LEAKS.items():
            if self._has(name):
                windows = leak(self.train(1), windows, rng)
        for name, change in TRANSFORMS.items():
            if self._has(name):
                windows = replace(windows, corpus=change(windows.corpus, rng))
        return windows

    @cached_property
    def ood(self) -> dict[str, Windows]:
        if not self.config.ood_sequences:
            return {}
        corpus = self._draw(self.recipe.ood, self.config.ood_sequences, "ood")
        if self._has("other_encoder"):
            corpus = broken.other_encoder(corpus, stream(self.config.recipe, "other_encoder"))
        return {OOD_NAME: corpus.windows(self.config.context)}

    def optimal(self) -> dict[str, Predict]:
        """The conditional means, for the sets whose process is the recipe's own."""
        known: dict[str, Predict] = {}
        if set(self.config.broken) <= _KEEPS_VALIDATION:
            known["validation"] = OptimalPredictor(self.space, self.recipe.shares, self.config.context).predict
        if self.ood and not self._has("other_encoder"):
            known[OOD_NAME] = OptimalPredictor(self.space, self.recipe.ood, self.config.context).predict
        return known

    def _has(self, breakage: str) -> bool:
        return breakage in self.config.broken

    def _draw(self, shares: Shares, windows: int, *purpose: int | str) -> Corpus:
        config = self.config
        dtype = np.float16 if config.dtype == "float16" else np.float32
        rng = stream(config.recipe, *purpose)
        return draw_corpus(
            self.space, shares, windows, config.context, rng, name=config.recipe, dtype=dtype, folder=self.folder
        )

    def _windows(self, shares: Shares, count: int, *purpose: int | str) -> Windows:
        corpus = self._draw(shares, count, *purpose)
        rng = stream(self.config.recipe, "broken", *purpose)
        for name, fault in FAULTS.items():
            if self._has(name):
                corpus = fault(corpus, rng)
        # Joined articles hold more windows than were asked for.
        return sample(corpus.windows(self.config.context), count)


def open_twin(config: TwinConfig, seed: int, folder: Path | None = None) -> Parts:
    """The twin as parts of a dataset; ``folder`` as in :class:`Twin`."""
    twin = Twin(config, seed, folder)
    notes = [f"synthetic twin of {RECIPES[config.recipe].about}"]
    notes += [f"broken on purpose, {name}: {BREAKAGES[name].about}" for name in config.broken]
    if config.fresh:
        notes.append("new articles every epoch, from the same space; validation and OOD are the same for every seed")
    return Parts(
        name=config.recipe,
        split="by_article",
        train=twin.train,
        validation=twin.validation,
        ood=twin.ood,
        notes=tuple(notes),
        optimal=twin.optimal(),
    )
