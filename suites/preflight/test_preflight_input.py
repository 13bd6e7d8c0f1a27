"""Bad input is one line with the fix, never a traceback; and how the loss is called."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.watch.preflight.objective import Form, Objective
from suites.preflight.healthy import labelled, small_net

CROSS_ENTROPY = functional.cross_entropy


def refused(model: Any, batch: Any, loss: Any = CROSS_ENTROPY, **options: Any) -> lvmcheck.InputError:
    with pytest.raises(lvmcheck.InputError) as caught:
        lvmcheck.preflight(model, batch, loss, **options)
    error = caught.value
    assert error.where == __file__
    assert "\n" not in str(error)
    return error


class Mapped(nn.Module):
    """An output that is a mapping without a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.layer(x)}


@pytest.mark.parametrize(
    ("model", "batch", "loss", "key"),
    [
        (nn.ReLU(), labelled(), CROSS_ENTROPY, "model"),
        (lambda x: x, labelled(), CROSS_ENTROPY, "model"),
        (nn.LazyLinear(4), labelled(), CROSS_ENTROPY, "model"),
        (torch.jit.ScriptModule(), labelled(), CROSS_ENTROPY, "model"),
        (small_net(), (torch.randn(8, 11), torch.arange(8) % 4), CROSS_ENTROPY, "loss"),
        (small_net(), (torch.randn(8, 10), torch.arange(7) % 4), CROSS_ENTROPY, "loss"),
        (small_net(), (torch.randn(8, 10), torch.arange(8)), CROSS_ENTROPY, "loss"),
        (small_net(), "a batch", CROSS_ENTROPY, "batch"),
        (small_net(), [torch.randn(8, 10)], CROSS_ENTROPY, "batch"),
        (small_net(), {"x": torch.randn(8, 10), "kind": torch.arange(8)}, CROSS_ENTROPY, "batch"),
        (small_net(), labelled(), nn.CrossEntropyLoss(reduction="none"), "loss"),
        (small_net(), labelled(), lambda output, target: 0.5, "loss"),  # noqa: ARG005
        (small_net(), labelled(), lambda output, target: target.sum(), "loss"),  # noqa: ARG005
        (small_net(), labelled(), lambda output: output.mean(), "loss"),
        (small_net(), labelled(), 0.5, "loss"),
        (small_net(), torch.randn(8, 10), None, "loss"),
        (Mapped(), {"x": torch.randn(8, 10)}, None, "loss"),
        (nn.Sequential(nn.Linear(10, 4), nn.BatchNorm1d(4)), labelled(1), CROSS_ENTROPY, "loss"),
    ],
)
def test_bad_input_is_one_line_with_the_fix(model: Any, batch: Any, loss: Any, key: str) -> None:
    error = refused(model, batch, loss)
    assert error.key == key
    assert error.fix or key == "model"


@pytest.mark.parametrize("key", ["optimizer", "scheduler"])
def test_a_bad_optimizer_or_scheduler(key: str) -> None:
    assert refused(small_net(), labelled(), **{key: "adam"}).key == key


def test_an_unknown_probe() -> None:
    assert refused(small_net(), labelled(), only=["optimiser"]).key == "only"


# -- how the loss is called --------------------------------------------------------------------------------------------
def by_model(model: nn.Module, batch: Any) -> Tensor: ...
def by_batch(who: Any, batch: Any) -> Tensor: ...
def by_output(output: Tensor, target: Tensor) -> Tensor: ...
def by_names_of_nothing(a: Tensor, b_: Tensor) -> Tensor: ...


@pytest.mark.parametrize(
    ("loss", "form"),
    [
        (by_model, Form.MODEL_BATCH),
        (by_batch, Form.MODEL_BATCH),
        (by_output, Form.OUTPUT_TARGET),
        (by_names_of_nothing, Form.OUTPUT_TARGET),
        (nn.MSELoss(), Form.OUTPUT_TARGET),
        (functional.mse_loss, Form.OUTPUT_TARGET),
        (lambda model, x: model(x).mean(), Form.MODEL_BATCH),
        (None, Form.OWN),
    ],
)
def test_the_form_of_a_loss_is_read_from_its_parameters(loss: Any, form: Form) -> None:
    assert Objective(loss, small_net()).form is form


class Nested(nn.Module):
    """Inputs in a dict within a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, parts: dict[str, Any]) -> Tensor:
        out: Tensor = self.layer(torch.cat([parts["a"], parts["rest"][0]], -1))
        return out


def test_a_nested_batch() -> None:
    batch = {"a": torch.randn(12, 2), "rest": (torch.randn(12, 4),), "y": torch.arange(12) % 3}

    def loss(model: nn.Module, batch: dict[str, Any]) -> Tensor:
        return functional.cross_entropy(model(batch), batch["y"])

    model = Nested()
    report = lvmcheck.preflight(model, batch, loss, torch.optim.Adam(model.parameters()), only=["inputs_matter"])
    finding = report["inputs_matter"].finding
    assert finding is not None
    assert finding.evidence[0].value == "parts.y"


def test_without_an_optimizer_its_probes_do_not_apply() -> None:
    report = lvmcheck.preflight(small_net(), labelled(), CROSS_ENTROPY)
    assert report
    for name in ("optimizer_coverage", "parameters_move", "resume_equal"):
        assert report[name].status is Status.NOT_APPLICABLE
        assert report[name].outcome.reason


def test_all_parameters_frozen() -> None:
    model = small_net().requires_grad_(False)
    report = lvmcheck.preflight(model, labelled(), CROSS_ENTROPY)
    assert [verdict.name for verdict in report.failed] == ["loss_depends_on_model"]
