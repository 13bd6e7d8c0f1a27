"""Recipes of the synthetic twin: which shares, spectra and article lengths a corpus is made of. Imports no numpy."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shares:
    """How the squared length of a chunk vector divides among its parts; noise is what the others leave of 1.

    Attributes:
        mean: common mean direction; its square root is the cosine a constant predictor reaches.
        topic: constant along one article.
        state: first-order autoregressive along the article.
        rho: correlation of the state from one chunk to the next.
    """

    mean: float
    topic: float
    state: float
    rho: float

    @property
    def noise(self) -> float:
        return 1.0 - self.mean - self.topic - self.state


@dataclass(frozen=True)
class Recipe:
    """A corpus as a distribution: everything about it but the dice.

    Attributes:
        about: what it imitates, with the figures it is set from.
        shares: of the training and validation articles.
        ood: shares of the out-of-distribution articles, in the same space.
        rank: directions in which topic and state live.
        decay: their variance falls as k ** -decay over those directions.
        form_rank, form_decay: directions beside them that carry the strong part of the noise (what a sentence has
            from its own form and shares with no neighbour), with their decay.
        flat: share of the noise spread evenly over all directions but the mean.
        article_chunks: mean chunks of an article (log-normal, sigma 0.6, at least context + 1).
        dim: default width of the vectors.
        space_seed: draws the directions; validation and OOD articles come from it too, so that every run seed is
            judged on the same windows.
    """

    about: str
    shares: Shares
    ood: Shares
    rank: int
    decay: float
    form_rank: int
    form_decay: float
    flat: float
    article_chunks: int
    dim: int
    space_seed: int


RECIPES: dict[str, Recipe] = {
    "wiki_584k": Recipe(
        about=(
            "584,545 Wikipedia chunks in reading order, gtr-t5-base: adjacent cosine .484 over all pairs, lag 1 to 5 "
            ".457 to .340, constant mean .42 to .48, mean of context .52 to .55; 72 chunks an article; "
            "OOD set with adjacent cosine .73"
        ),
        shares=Shares(mean=0.22, topic=0.12, state=0.23, rho=0.6),
        ood=Shares(mean=0.22, topic=0.30, state=0.27, rho=0.78),
        rank=24,
        decay=1.0,
        form_rank=24,
        form_decay=1.0,
        flat=0.1,
        article_chunks=72,
        dim=768,
        space_seed=584,
    )
}
"""Named recipes; a suite's data.recipe is one of these names."""


@dataclass(frozen=True)
class Breakage:
    """One way to break a twin on purpose, and what it imitates."""

    about: str
    where: str = field(default="train and validation")


BREAKAGES: dict[str, Breakage] = {
    "scrambled": Breakage("80.5 % of the rows lose their article id and their order (the 790k file)"),
    "null_group": Breakage("80.5 % of the rows lose their article id and keep their order"),
    "shuffled": Breakage("the chunks of every article are in random order (a sort key with ties)"),
    "shuffled_in_3": Breakage("chunks are in random order within every three rows of an article"),
    "shuffled_in_8": Breakage("chunks are in random order within every eight rows of an article"),
    "shuffled_in_50": Breakage("chunks are in random order within every fifty rows of an article"),
    "blocks_of_3_moved": Breakage("every three rows of an article stay together and change places with others"),
    "blocks_of_8_moved": Breakage("every eight rows of an article stay together and change places with others"),
    "ids_moved_along": Breakage("every five hundred rows of the file are in random order, with their article ids"),
    "articles_joined": Breakage("windows cross article boundaries (every 'N - 5' file)"),
    "split_duplicated": Breakage("half of the validation windows are training windows", "validation"),
    "split_near_duplicated": Breakage(
        "half of the validation windows are training windows with a little noise", "validation"
    ),
    "easier_validation": Breakage("validation articles keep to their subject more than training ones", "validation"),
    "rows_leaked": Breakage("3 % of the validation rows are training rows, bit for bit, under new ids", "validation"),
    "article_leaked": Breakage(
        "one validation article in ten is a training article again, with noise (cosine 0.995)", "validation"
    ),
    "centred_validation": Breakage("validation was centred and brought to unit length again", "validation"),
    "rescaled_validation": Breakage("validation vectors are half as long as training vectors", "validation"),
    "rotated_validation": Breakage("validation vectors come from another encoder: a random rotation", "validation"),
    "other_encoder": Breakage("OOD vectors come from another encoder: a random rotation", "ood"),
    "zero_vectors": Breakage("one row in fifty is zero (failed encodes)"),
    "wrong_norm": Breakage("vectors were stored before they were divided by their length: 3.1 on average"),
    "duplicated": Breakage("one row in ten is a copy of another row"),
    "near_duplicated": Breakage("one row in ten is another row with a little noise"),
    "nan": Breakage("one row in five hundred holds a NaN"),
}
"""What data.broken may name."""
