"""label_mask: of labels some of which are ignored, some are learned, the padding is not, and the end token is."""

from __future__ import annotations

from torch import Tensor

from lvmcheck.checks.finding import Fact, Finding, Outcome, Scalar, failed, passed, warning
from lvmcheck.watch.preflight.masks import masks
from lvmcheck.watch.preflight.nested import leaves
from lvmcheck.watch.preflight.setup import Setup, SkipProbe

FIXES = {
    "all_ignored": "check the template that finds the answer: no label is left, and the loss is NaN or 0",
    "rows_ignored": "drop these rows, or truncate prompts so that a part of the answer is left",
    "padding_learned": "set the labels of padded positions to -100",
    "end_token_ignored": "do not set the labels of the end token to -100; give padding a token of its own",
}
IGNORED = -100


def measure(setup: Setup) -> Outcome:
    labels = labels_of(setup)
    if labels is None:
        raise SkipProbe("the batch holds no labels for positions")
    learned = labels != IGNORED
    share = 100 * float(learned.float().mean())
    evidence = (Fact("learned", share, "%"),)
    if not learned.any():
        return failed(_finding("all_ignored", share, evidence, "{measured} of the labels are learned", "%"))
    padded = _padded(setup, labels)
    if padded is not None and bool((learned & padded).any()) and bool((learned & ~padded).any()):
        count = int((learned & padded).sum())
        phrase = "{measured} labels of padded positions are learned"
        return failed(_finding("padding_learned", count, evidence, phrase))
    if bool(learned.all()):
        raise SkipProbe("no label is -100")
    end = end_ignored(setup, labels, padded)
    if end is not None:
        return failed(_finding("end_token_ignored", end, evidence, "the end token {measured} is never learned"))
    empty = int((~learned.any(1)).sum())
    if empty:
        return warning(_finding("rows_ignored", empty, evidence, "all labels of {measured} rows are ignored"))
    return passed(_finding("learned", share, (), "{measured} of the labels are learned", "%"))


def labels_of(setup: Setup) -> Tensor | None:
    """Labels [N, T]: by name, or those of the batch that hold -100."""
    integers = {p: t for p, t in leaves(setup.batch).items() if t.ndim == 2 and not t.is_floating_point()}
    for path, tensor in integers.items():
        if path.rpartition(".")[2] in ("labels", "label"):
            return tensor
    return next((tensor for tensor in integers.values() if bool((tensor == IGNORED).any())), None)


def _padded(setup: Setup, labels: Tensor) -> Tensor | None:
    """Padded positions, where a mask called attention_mask or one of padding says so."""
    for path, mask in masks(leaves(setup.batch)).items():
        name = path.rpartition(".")[2].lower()
        if mask.shape == labels.shape and ("attention" in name or "pad" in name):
            return mask.bool() if "pad" in name else ~mask.bool()
    return None


def end_ignored(setup: Setup, labels: Tensor, padded: Tensor | None) -> int | None:
    """The end token, where it is in the inputs and its label is ignored in every row."""
    given = next(
        (t for p, t in leaves(setup.batch).items() if t.shape == labels.shape and _is_text(p, t, labels)), None
    )
    if given is None:
        return None
    config = getattr(setup.model, "config", None)
    end = getattr(config, "eos_token_id", None)
    real = given != IGNORED if padded is None else ~padded
    if not isinstance(end, int):
        end = _common_end(given, real)
    if end is None:
        return None
    there = (given == end) & real if padded is not None else given == end
    shifted = shift_of_labels(labels, given)
    if shifted:  # the label of position t is the token at t + shift
        there = there.roll(-shifted, 1)
        there[:, -shifted:] = False
    if not bool(there.any()) or not bool((labels != IGNORED).any()):
        return None
    return end if bool((labels[there] == IGNORED).all()) else None


def _is_text(path: str, tensor: Tensor, labels: Tensor) -> bool:
    if tensor is labels or tensor.is_floating_point() or "mask" in path or not tensor.numel():
        return False
    return int(tensor.max()) > 1


def _common_end(given: Tensor, real: Tensor) -> int | None:
    """The last real token, where it is the same in every row and stands nowhere else."""
    if len(given) < 2:
        return None
    last = real.shape[1] - 1 - real.flip(1).int().argmax(1)
    ends = given.gather(1, last[:, None])[:, 0]
    end = int(ends[0])
    once = bool((((given == end) & real).sum(1) == 1).all())
    return end if bool((ends == end).all()) and once else None


def shift_of_labels(labels: Tensor, given: Tensor) -> int:
    """1 where labels are the next tokens, 0 where the model shifts them itself."""
    used = labels != IGNORED
    moved = used[:, :-1]
    same = float((labels == given)[used].float().mean())
    later = float((labels[:, :-1] == given[:, 1:])[moved].float().mean()) if bool(moved.any()) else 0.0
    return int(later > same)


def _finding(code: str, measured: Scalar, evidence: tuple[Fact, ...], phrase: str, unit: str = "") -> Finding:
    return Finding(code=code, measured=measured, unit=unit, evidence=evidence, phrase=phrase)
