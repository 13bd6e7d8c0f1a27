"""The laws of ``lvmcheck.testing.losses``: torch's losses and ours keep them, and each mistake breaks its own."""

from __future__ import annotations

import math
import os
import runpy
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck.errors import InputError
from lvmcheck.testing import losses
from models.losses import LOSSES, Batch, unit, weighted_total
from suites.losses import planted

torch.set_num_threads(1)
FULL = os.environ.get("LVM_RELIABILITY") == "full"
EXAMPLES = 100 if FULL else 4
SHAPES = ("finite", "gradient", "row_order", "no_broadcast", "zero_vectors", "same_in_every_precision")
ALL = (*SHAPES, "least_at_target", "reduction")


def term(name: str, raw: Tensor, target: Tensor) -> Tensor:
    return LOSSES[name](Batch(raw, unit(raw), target, 0.5))


def cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """1 - cosine with an eps that float16 can hold."""
    if prediction.shape != target.shape:
        raise ValueError("expected the same shape")
    return (1 - F.cosine_similarity(prediction, target, eps=1e-3)).mean()


def weighted_terms(prediction: Tensor, target: Tensor, weight: float) -> Tensor:
    return weighted_total(
        {"mse": (weight, F.mse_loss(prediction, target)), "l1": (weight, F.l1_loss(prediction, target))}
    )


def weighted_rows(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return F.mse_loss(prediction, target, weight=weight[:, None].expand_as(prediction))


def run(law: str, loss: planted.Loss, kind: str) -> None:
    """One law on batches of that kind: those that are about rounding on ordinary numbers."""
    strategy = {"vectors": losses.vectors, "unit": partial(losses.vectors, (2, 5), unit_targets=True)}
    strategy |= {"classes": losses.classes, "binary": losses.binary, "probabilities": losses.probabilities}
    ordinary = law not in ("finite",) and kind != "probabilities"
    batches = strategy[kind](scales=(0, 0)) if ordinary else strategy[kind]()
    losses.LAWS[law](loss, batches=batches, examples=EXAMPLES)


HEALTHY: Sequence[tuple[str, planted.Loss, str, Sequence[str]]] = (
    ("mse", partial(term, "mse"), "unit", ALL),
    ("info_nce", partial(term, "info_nce"), "unit", SHAPES),
    ("moment", partial(term, "moment"), "unit", (*SHAPES, "least_at_target")),
    ("variance", partial(term, "variance"), "unit", sorted({*SHAPES} - {"no_broadcast"})),  # it reads no target
    ("MSELoss", nn.MSELoss(), "vectors", ALL),
    ("L1Loss", nn.L1Loss(), "vectors", ALL),
    ("HuberLoss", nn.HuberLoss(), "vectors", ALL),
    ("SmoothL1Loss", nn.SmoothL1Loss(), "vectors", ALL),
    ("CrossEntropyLoss", nn.CrossEntropyLoss(), "classes", ALL),
    ("BCEWithLogitsLoss", nn.BCEWithLogitsLoss(), "binary", ALL),
    ("BCELoss", nn.BCELoss(), "probabilities", ("gradient", "least_at_target", "reduction", "no_broadcast")),
    ("cosine", cosine, "vectors", ALL),
)
MORE = ("L1Loss", "HuberLoss", "SmoothL1Loss", "BCELoss", "BCEWithLogitsLoss", "cosine")
"""In the long form alone."""
CASES = [
    pytest.param(law, loss, kind, id=f"{name}-{law}")
    for name, loss, kind, laws in HEALTHY
    if FULL or name not in MORE
    for law in laws
]


@pytest.mark.parametrize(("law", "loss", "kind"), CASES)
def test_a_healthy_loss_keeps_its_laws(law: str, loss: planted.Loss, kind: str) -> None:
    run(law, loss, kind)


@pytest.mark.parametrize(
    ("loss", "stated", "other", "per"),
    [
        (weighted_terms, "proportional", "normalised", "batch"),
        (weighted_rows, "normalised", "proportional", "row"),
        (lambda p, t, w: ((p - t).square().mean(dim=1) * w).mean(), "proportional", "normalised", "row"),
    ],
)
def test_a_weight_counts_once_and_as_stated(loss: planted.Loss, stated: str, other: str, per: str) -> None:
    batches = losses.vectors((2, 4), scales=(0, 0))
    losses.weight_scale(loss, batches, stated=stated, per=per, examples=EXAMPLES)
    with pytest.raises(losses.BrokenLawError) as caught:
        losses.weight_scale(loss, batches, stated=other, per=per, examples=EXAMPLES)
    assert caught.value.law == "weight_scale"


# -- each mistake breaks its law, and no other -------------------------------------------------------------------------
@pytest.mark.parametrize("loss", planted.PLANTED, ids=lambda loss: loss.__name__)
def test_a_mistake_breaks_exactly_its_law(loss: planted.Loss) -> None:
    kind, meant = "classes" if loss is planted.overflowing else "vectors", planted.PLANTED[loss]
    broken: dict[str, losses.BrokenLawError] = {}
    every = (*ALL, *({*meant} - {*ALL}))
    for law in every if FULL or loss in (planted.no_eps, planted.detached) else meant:
        try:
            run(law, loss, kind)
        except losses.BrokenLawError as error:
            broken[law] = error
    assert {*broken} == {*meant}
    error = broken[meant[0]]
    assert (error.law, error.loss) == (meant[0], loss.__name__)
    assert error.line is not None
    assert error.line.file == "suites/losses/planted.py"
    assert planted.LOOK.get(loss, error.line.text) == error.line.text


def test_the_smallest_example_is_small_and_told() -> None:
    with pytest.raises(losses.BrokenLawError) as caught:
        losses.zero_vectors(planted.no_eps)
    error = caught.value
    assert math.isnan(error.measured)
    assert error.breach.required == ("finite", 0.0)
    assert list(error.example.prediction.shape) == [1, 1]
    told = str(error).splitlines()
    assert told[0] == "no_eps breaks zero_vectors: the loss is nan, wanted a finite number"
    assert told[1].startswith("  smallest example (float32): prediction [1, 1] [[0]]")
    assert told[3] == f"  look at suites/losses/planted.py:{error.line.number}: {planted.LOOK[planted.no_eps]}"


def test_a_sum_over_columns_is_a_mean_over_rows_and_none_over_elements() -> None:
    losses.reduction(planted.summed_over_columns, examples=EXAMPLES)
    losses.reduction(planted.summed, stated="sum", examples=EXAMPLES)
    losses.reduction(nn.MSELoss(), over="elements", examples=EXAMPLES)
    losses.reduction(nn.CrossEntropyLoss(reduction="none"), losses.classes(), stated="none", examples=EXAMPLES)
    for loss, stated in (
        (planted.summed_over_columns, "mean"),
        (nn.MSELoss(), "none"),
        (nn.MSELoss(reduction="none"), "mean"),
    ):
        with pytest.raises(losses.BrokenLawError):
            losses.reduction(loss, stated=stated, over="elements", examples=EXAMPLES)


@pytest.mark.parametrize(
    ("law", "loss", "batches"),
    [
        ("finite", nn.BCELoss(), losses.probabilities()),  # its gradient at exactly 0 and 1, in float16
        ("finite", nn.SoftMarginLoss(), losses.binary()),  # exp(-x) where softplus is meant
        ("no_broadcast", nn.SoftMarginLoss(), losses.binary()),
        ("zero_vectors", lambda p, t: (1 - F.cosine_similarity(p, t)).mean(), None),  # its eps is 0 in float16
        ("no_broadcast", lambda p, t: (1 - F.cosine_similarity(p, t)).mean(), None),
    ],
)
def test_what_torch_itself_breaks(law: str, loss: planted.Loss, batches: object) -> None:
    """As measured with torch 2.13, and said in docs/losses.md."""
    with pytest.raises(losses.BrokenLawError):
        losses.LAWS[law](loss, batches)


def test_the_page_shows_what_its_example_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "losses.md").read_text()
    code, shown = page.partition("```python\n")[2].split("```\n```text\n")
    (tmp_path / "loss.py").write_text(code)
    runpy.run_path(str(tmp_path / "loss.py"))
    assert capsys.readouterr().out == shown.partition("```")[0]


# -- input -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: losses.finite(3), "finite: loss: expected a function of prediction and target, got int"),
        (lambda: losses.finite(nn.MSELoss(), losses.vectors), "batches: expected a strategy of batches, got function"),
        (lambda: losses.finite(nn.MSELoss(), examples=0), "examples: expected a number of batches above 0, got 0"),
        (lambda: losses.reduction(nn.MSELoss(), stated="men"), "no stated 'men'. Did you mean 'mean'?"),
        (lambda: losses.finite(lambda *_: 0.5), "expected to return a tensor, got float"),
        (lambda: losses.row_order(nn.MSELoss(), losses.vectors(rows=(1, 1))), "could be judged on none of"),
    ],
)
def test_bad_input_is_one_line(call: Callable[[], None], said: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert said in str(caught.value)
