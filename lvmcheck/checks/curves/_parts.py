"""Parts of a loss by name, each with its course in training and in validation."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from lvmcheck.checks.curves._term_windows import some_windows
from lvmcheck.run.curves import Curve, curve
from lvmcheck.run.role_names import IGNORED, NOT_THE_MODEL, PLAYERS, TRAIN, VALIDATION, WEIGHTS, Quantity, words
from lvmcheck.run.roles import Role, Split
from lvmcheck.run.view import Run

_OTHERS = """kl kld reg regularization regularisation l1 l2 wd entropy commit commitment vq codebook penalty tv balance
router load aux auxiliary adv adversarial gan variance var std cov covariance sparsity sparse orthogonality smooth
smoothness uniformity temp temperature alpha moment z zloss distance margin ece brier mape smape msle rmsle max min
grad norm gp elbo divergence consistency agreement pseudo free bits log log10 log2 per rate"""
OTHERS = frozenset(_OTHERS.split())
"""Words of terms that hold a model back, and of figures that no optimizer follows: they may rise."""
_DATA = """mse mae rmse ce bce nll xent crossentropy recon reconstruction rec huber smoothl1 pixel"""
DATA = frozenset(_DATA.split())
"""Words of terms that measure a prediction against real numbers or classes."""
LEAST, MOST = 8, 40
"""Values of a part's course, and parts beyond which the rest is not looked at."""
KINDS = (Quantity.LOSS, Quantity.ERROR, Quantity.TERM)


@dataclass(frozen=True)
class Part:
    """One part: its name without the split, its training and its validation course, and its weight where stated."""

    name: str
    train: Curve | None = None
    validation: Curve | None = None
    weight: float | None = None


def key(name: str) -> str:
    """The words of a name that tell parts apart; empty for the whole loss."""
    kept = [w for w in words(name) if w not in TRAIN | VALIDATION | IGNORED and w not in ("loss", "losses", "term")]
    return "_".join(kept)


def parts(run: Run) -> list[Part]:
    """Parts of the loss that measure something, those of the windows first."""
    found: dict[str, Part] = {}
    windows = some_windows(run)
    for name in sorted(windows[0].terms if len(windows) >= LEAST else ())[:MOST]:
        held = [window for window in windows if name in window.terms]
        points = [(window.epoch, window.last_step, window.terms[name].mean) for window in held]
        course = curve(Role(name, Quantity.TERM, Split.TRAIN), points, by_step=True)
        if len(course) >= LEAST and _known(name):
            found[key(name)] = Part(key(name), course, weight=held[-1].terms[name].weight)
    for course in _metrics(run):
        name = key(course.name)
        before = found.get(name, Part(name))
        if course.role.split is Split.VALIDATION:
            found[name] = Part(name, before.train, before.validation or course, before.weight)
        elif before.train is None:
            found[name] = Part(name, course, before.validation, before.weight)
    return list(found.values())


def _metrics(run: Run) -> Iterator[Curve]:
    names = [name for name, role in run.curves.roles.items() if role.quantity in KINDS and _known(name)]
    names = [name for name in names if not _of_a_set(name, run.curves.roles)]
    for name in names[:MOST]:
        course = run.curves.by_epoch.get(name) or run.curves.by_step.get(name)
        if course is not None and len(course) >= LEAST:
            yield course


def _of_a_set(name: str, known: Collection[str]) -> bool:
    """Whether it is the loss of a set of rows that is evaluated as training is: old/loss, old/acc, train/loss."""
    group, _, last = name.rpartition("/")
    beside = {other.rpartition("/")[2] for other in known if other.startswith(f"{group}/")} if group else set()
    return len(beside) > 1 and last in beside and all(f"train/{other}" in known for other in beside)


def _known(name: str) -> bool:
    return bool(key(name)) and not (OTHERS | WEIGHTS | NOT_THE_MODEL | set(PLAYERS)) & set(words(name))
