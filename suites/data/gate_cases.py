"""Faults of data that gates must name, put into real and synthetic corpora, each beside its healthy near twin.

``python -m suites.data.gate_cases`` prints which of them are caught, by which gate and with which cause first, on the
half of the cases that bounds were chosen on and on the other half; ``--false-alarms`` judges sound splits of every
corpus; ``--costs`` what an order costs the best linear predictor; ``--moved`` which orders of blocks of 50 are found;
``--big FOLDER`` times the search for twins, and ``--smoke`` the facts of a short run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lvmcheck.causes.protocol import diagnose
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import evaluate, load_check
from lvmcheck.errors import InputError
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run
from models.data import baselines, broken
from models.data.dataset import Dataset, open_data
from models.data.gates.beside import Beside
from models.data.gates.document import document_facts
from models.data.gates.measure import gate_facts
from models.data.parts import Parts
from models.data.readers.loaded import whole_articles
from models.data.recipes import RECIPES
from models.data.split import Split, by_article
from models.data.store import Corpus, Windows
from models.data.stored import read
from models.data.twin import Space, draw_corpus, stream

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "vectors"
GATES = (
    "split_disjoint",
    "document_order",
    "validation_same_space",
    "groups",
    "lag_profile",
    "windows_inside_articles",
)
Rng = np.random.Generator
Change = Callable[[Corpus, Rng], Corpus]
LEAK, ORDER, SPACE = "leaked_split", "order_scrambled", "validation_transformed"


# -- faults of a whole corpus, which is split by article afterwards ----------------------------------------------------
def rows_copied(corpus: Corpus, rng: Rng, share: float = 0.015, articles: int = 5) -> Corpus:
    """A share of the rows once more, bit for bit, in new articles of their own."""
    rows = rng.choice(len(corpus), round(share * len(corpus)), replace=False)
    return _appended(corpus, corpus.vectors[rows], np.sort(rng.integers(0, articles, len(rows))))


def articles_twice(corpus: Corpus, rng: Rng, cosine: float = 0.995, share: float = 0.1) -> Corpus:
    """A share of the articles once more under new ids, each row at this cosine from its original."""
    names = np.unique(corpus.article)
    chosen = rng.choice(names, max(round(share * len(names)), 1), replace=False)
    rows = np.flatnonzero(np.isin(corpus.article, chosen))
    noise = float(np.sqrt(1.0 / cosine**2 - 1.0))
    return _appended(corpus, broken.noisy(corpus.vectors[rows], rng, noise), corpus.article[rows])


def sentences_repeated(corpus: Corpus, rng: Rng) -> Corpus:
    """Prose repeats itself: 0.15 % of the rows are another row of the corpus. No fault."""
    return broken.duplicated(corpus, rng, 0.0015)


def jittered(corpus: Corpus, rng: Rng, reach: float = 3.0) -> Corpus:
    """Every row moves by up to ``reach`` rows inside its article."""
    start, _ = broken.blocks_of(corpus, 1)
    return broken.reordered(corpus, np.lexsort((np.arange(len(corpus)) + rng.uniform(0, reach, len(corpus)), start)))


def shuffled(size: int) -> Change:
    return lambda corpus, rng: broken.shuffled_in(corpus, rng, size)


def moved(size: int) -> Change:
    return lambda corpus, rng: broken.blocks_moved(corpus, rng, size)


def along(size: int) -> Change:
    return lambda corpus, rng: broken.ids_moved_along(corpus, rng, size)


def _appended(corpus: Corpus, vectors: np.ndarray, articles: np.ndarray) -> Corpus:
    return replace(
        corpus,
        vectors=np.concatenate([corpus.vectors, broken.like(corpus.vectors, vectors)]),
        article=np.concatenate([corpus.article, articles + corpus.article.max() + 1]).astype(np.int32),
    )


# -- faults of the validation vectors alone ----------------------------------------------------------------------------
def standardised(corpus: Corpus, _: Rng) -> Corpus:
    """Every dimension to mean 0 and deviation 1, then unit length."""
    spread = corpus.vectors.std(axis=0, dtype=np.float64)
    rest = (corpus.vectors - corpus.vectors.mean(axis=0, dtype=np.float64)) / np.where(spread > 0, spread, 1.0)
    return replace(corpus, vectors=broken.like(corpus.vectors, rest / np.linalg.norm(rest, axis=1, keepdims=True)))


def permuted(corpus: Corpus, rng: Rng) -> Corpus:
    """Dimensions in another order."""
    return replace(corpus, vectors=corpus.vectors[:, rng.permutation(corpus.dim)])


def flipped(corpus: Corpus, _: Rng) -> Corpus:
    """Every sign turned."""
    return broken.rescaled(corpus, -1.0)


@dataclass(frozen=True)
class Fault:
    """A change, the cause it must have (empty for a healthy one), and what it changes."""

    name: str
    change: Change
    cause: str
    validation: bool = False


FIRST = (
    Fault("as it is", lambda corpus, _: corpus, ""),
    Fault("0.15 % of the rows repeat another", sentences_repeated, ""),
    Fault("1.5 % of the rows copied under new ids", rows_copied, LEAK),
    Fault("a tenth of the articles twice, cosine 0.995", articles_twice, LEAK),
    *(Fault(f"shuffled in blocks of {size}", shuffled(size), ORDER) for size in (3, 8, 50, 500)),
    *(Fault(f"blocks of {size} moved", moved(size), ORDER) for size in (3, 8)),
    Fault("shuffled in 500 with ids", along(500), ORDER),
    Fault("validation centred", lambda corpus, _: broken.centred(corpus), SPACE, validation=True),
    Fault("validation half as long", lambda corpus, _: broken.rescaled(corpus), SPACE, validation=True),
    Fault("validation of another encoder", broken.other_encoder, SPACE, validation=True),
)
SECOND = (
    Fault("1.2 % of the rows copied, in 3 articles", lambda c, r: rows_copied(c, r, 0.012, 3), LEAK),
    Fault("a tenth of the articles twice, cosine 0.985", lambda c, r: articles_twice(c, r, 0.985), LEAK),
    Fault("a twentieth of the articles twice", lambda c, r: articles_twice(c, r, 1.0, 0.05), LEAK),
    *(Fault(f"shuffled in blocks of {size}", shuffled(size), ORDER) for size in (2, 4, 6, 12, 100)),
    *(Fault(f"blocks of {size} moved", moved(size), ORDER) for size in (5, 12)),
    Fault("moved by up to 3 rows", jittered, ORDER),
    *(Fault(f"shuffled in {size} with ids", along(size), ORDER) for size in (3, 50)),
    Fault("validation standardised", standardised, SPACE, validation=True),
    Fault("validation with dimensions permuted", permuted, SPACE, validation=True),
    Fault("validation with signs turned", flipped, SPACE, validation=True),
    Fault("validation 5 % longer", lambda c, _: broken.rescaled(c, 1.05), SPACE, validation=True),
)

UNSEEN = tuple(Fault(f"blocks of {size} moved", moved(size), ORDER) for size in (50, 500))
"""Orders that no gate sees; ``--costs`` says what they cost."""


# -- corpora -----------------------------------------------------------------------------------------------------------
def corpora() -> Iterator[Corpus]:
    """The three real ones, where they are, and the twin."""
    for name in ("wikitext2", "enwiki", "pydoc"):
        if (VECTORS / name).is_dir():
            stored = read(VECTORS / name, 5).windows.corpus
            yield replace(stored, vectors=np.array(stored.vectors, dtype=np.float32))
    recipe = RECIPES["wiki_584k"]
    yield draw_corpus(Space(recipe, 256), recipe.shares, 12_000, 5, stream("wiki_584k", "gate cases"), name="twin")


STRADDLE = 0.015
"""Share of the validation targets that a leak must reach: copies that lie on one side of a split leak nothing."""


def straddling(split: Split, known: int) -> float:
    """Share of the validation targets that are a copy of a row of training, or its original; copies begin at a row."""
    vectors = split.train.corpus.vectors
    source = np.argmax(vectors[known:] @ vectors[:known].T, axis=1)
    used = np.zeros(len(vectors), dtype=bool)
    used[split.train.rows().ravel()] = True
    leaks = np.zeros(len(vectors), dtype=bool)
    leaks[known:] = used[source]
    leaks[source[used[known:]]] = True
    return float(leaks[np.unique(split.validation.rows()[:, -1])].mean())


def judged(corpus: Corpus, fault: Fault, seed: int = 0) -> Run:
    """The facts of a corpus with a fault, split by article; of copied rows under the first seed that parts them."""
    rng = np.random.default_rng(seed)
    changed = corpus if fault.validation else fault.change(corpus, rng)
    windows = whole_articles(changed, 5, Path(corpus.name))
    split = by_article(windows, 0.1, seed)
    while fault.cause == LEAK and straddling(split, len(corpus)) < STRADDLE:
        seed += 1
        split = by_article(windows, 0.1, seed)
    held = split.validation
    if fault.validation:
        rows, place = np.unique(held.rows(), return_inverse=True)
        own = Corpus("validation", changed.vectors[rows], changed.article[rows])
        held = Windows(fault.change(own, rng), 5, index=place.reshape(-1, 6).astype(np.int32))
    whole = None if fault.validation else windows
    parts = Parts("c", "by_article", lambda _: split.train, held, whole=whole)
    return Run(events=(ev.Data(name="c", fingerprint="0", facts=Dataset("path", parts).facts()),))


def caught(run: Run) -> tuple[list[str], str]:
    """The gates that fail, and the first cause."""
    verdicts = evaluate(run, [load_check(name)() for name in GATES])
    causes = diagnose(run, verdicts)
    return [item.check for item in verdicts if item.status is Status.FAILED], causes[0].name if causes else ""


def print_half(faults: tuple[Fault, ...], names: tuple[str, ...]) -> tuple[int, int]:
    """A table of one half; how many were right, and how many there are."""
    right = total = 0
    for corpus in corpora():
        if corpus.name not in names:
            continue
        for fault in faults:
            try:
                gates, cause = caught(judged(corpus, fault))
            except InputError as refused:  # what any reader says of such a file
                gates, cause = ["refused"], ORDER if "not in document order" in str(refused) else str(refused)
            good = cause == fault.cause and bool(gates) == bool(fault.cause)
            right, total = right + good, total + 1
            told = f"{', '.join(gates) or '-'} | {cause or '-'} | {'' if good else 'no'}"
            print(f"| {corpus.name} | {fault.name} | {told} |", flush=True)
    return right, total


def print_false_alarms(splits: int = 8) -> None:
    """Sound corpora under several splits: targets with twins, and what failed."""
    for corpus in corpora():
        shares, failed = [], []
        for seed in range(splits):
            run = judged(corpus, FIRST[0], seed)
            facts = run.facts
            shares.append(facts["gate.split.twin_shares"][3])
            failed += [f"{name} ({seed})" for name in caught(run)[0]]
        shown = " ".join(f"{100 * share:.2f}" for share in shares)
        print(f"| {corpus.name} | {len(corpus):,} | {shown} | {', '.join(failed) or 'none'} |", flush=True)


def print_costs() -> None:
    """Validation cosine of the best linear predictor on each order, fitted and scored on that order."""
    for corpus in corpora():
        scores = []
        for fault in (FIRST[0], *(fault for fault in (*SECOND, *FIRST) if fault.cause == ORDER), *UNSEEN):
            windows = fault.change(corpus, np.random.default_rng(0)).windows(5)
            if len(windows) < 1_000:  # shuffled with their ids, no article is in one piece
                continue
            split = by_article(windows, 0.1, 0)
            score = baselines.score(split.validation, baselines.fit_linear(split.train, 8_000).predict)
            scores.append(f"{fault.name} {score:.4f}")
        print(f"{corpus.name}: {', '.join(scores)}", flush=True)


def print_moved(orders: int = 6) -> None:
    """Blocks of 50 moved, in several random orders: the block that is found, by standard errors beyond chance."""
    for corpus in corpora():
        found = []
        for seed in range(orders):
            facts = document_facts(moved(50)(corpus, np.random.default_rng(seed)).windows(5))
            found.append(f"{facts['order_period']}: {facts['order_period_excess']:.2f}")
        print(f"{corpus.name}: {', '.join(found)}", flush=True)


def print_big(folder: Path) -> None:
    """Seconds of the search for twins in a corpus on disk, split by article."""
    from models.data.gates.leaks import twin_facts
    from models.data.gates.measure import Corpora

    windows = read(folder, 5).windows
    split = by_article(windows, 0.1, 0)
    parts = Parts("big", "by_article", lambda _: split.train, split.validation, whole=windows)
    before, cpu = time.perf_counter(), time.process_time()
    scan = Corpora(split.train, parts).scan(windows.corpus)
    scanned, scanned_cpu = time.perf_counter(), time.process_time()
    facts = twin_facts((split.train, scan), (split.validation, scan))
    print(
        f"{len(windows.corpus):,} x {windows.dim}: one pass {scanned - before:.1f} s ({scanned_cpu - cpu:.1f} s of CPU)"
    )
    seconds, used = time.perf_counter() - scanned, time.process_time() - scanned_cpu
    print(
        f"twins of {facts['targets_searched']:,} of {facts['targets']:,} targets: {seconds:.1f} s ({used:.1f} s of CPU)"
    )


def print_smoke() -> None:
    """Seconds of CPU of the facts that a run of suites/amn_790k records before its first step."""
    data = open_data({"sequences": 20_000, "val_sequences": 4_000, "ood_sequences": 2_000}, seed=0)
    train = data.train_epoch(1)
    parts = Parts("twin", "by_article", lambda _: train, data.validation, ood=data.ood)
    before = time.process_time()
    gate_facts(train, parts, Beside())
    gates, before = time.process_time() - before, time.process_time()
    data.facts()
    print(f"gates {gates:.1f} s, all facts {time.process_time() - before:.1f} s")


def main(arguments: list[str]) -> int:
    if "--smoke" in arguments:
        print_smoke()
    elif "--false-alarms" in arguments:
        print_false_alarms()
    elif "--costs" in arguments:
        print_costs()
    elif "--moved" in arguments:
        print_moved()
    elif "--big" in arguments:
        print_big(Path(arguments[-1]))
    else:
        halves = (("chosen on", FIRST, ("wikitext2", "twin")), ("not chosen on", FIRST, ("enwiki", "pydoc")),
                  ("not chosen on", SECOND, ("wikitext2", "twin", "enwiki", "pydoc")))  # fmt: skip
        for about, faults, names in halves:
            right, total = print_half(faults, names)
            print(f"cases that bounds were {about}: {right} of {total} right", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
