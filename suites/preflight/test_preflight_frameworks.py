"""Modules of Hugging Face and Lightning need no further code: real ones where installed, else stand-ins."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lvmcheck
from lvmcheck.checks.finding import Status
from suites.preflight.healthy import Language, adam, labelled, next_token

LONG = 300.0


@dataclass
class Output:
    loss: Tensor | None
    logits: Tensor


class HuggingFace(Language):
    """Computes its own loss, and shifts the labels itself."""

    def forward(  # type: ignore[override]
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None
    ) -> Output:
        logits = super().forward(input_ids, attention_mask)
        return Output(None if labels is None else next_token(logits[:, :-1], labels[:, 1:]), logits)


def tokens() -> dict[str, Tensor]:
    ids = torch.randint(3, 24, (6, 14))
    mask = torch.ones_like(ids)
    mask[3:, 10:] = 0
    return {"input_ids": ids * mask, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def test_a_module_with_its_own_loss() -> None:
    model = HuggingFace()
    report = lvmcheck.preflight(model, tokens(), optimizer=adam(model), budget_s=LONG)
    assert report, str(report)
    for name in ("causal", "target_shift", "mask_matters", "padding_ignored", "label_mask", "tied_weights"):
        assert report[name].status is Status.PASSED


def test_a_module_with_its_own_loss_that_sees_the_future() -> None:
    model = HuggingFace(causal=False)
    report = lvmcheck.preflight(model, tokens(), optimizer=adam(model), budget_s=LONG, only=["causal"])
    assert [verdict.name for verdict in report.failed] == ["causal"]


class Lightning(nn.Module):
    """Logs, which needs a trainer, and makes its own optimizer and scheduler."""

    def __init__(self, *, complete: bool = True) -> None:
        super().__init__()
        self.net, self.head, self.complete = nn.Linear(10, 16), nn.Linear(16, 4), complete

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.net(x).tanh())
        return out

    def log(self, *arguments: Any) -> None:  # noqa: ARG002
        raise RuntimeError("no trainer")

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> dict[str, Tensor]:  # noqa: ARG002
        loss = functional.cross_entropy(self(batch[0]), batch[1])
        self.log("loss", loss)
        return {"loss": loss}

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = torch.optim.Adam(self.parameters() if self.complete else self.net.parameters())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 2)}}


def test_a_module_with_a_training_step() -> None:
    model = Lightning()
    report = lvmcheck.preflight(model, labelled(), budget_s=LONG)
    assert report, str(report)
    assert report["resume_equal"].status is Status.PASSED
    assert "log" not in vars(model)


def test_a_module_whose_own_optimizer_forgets_the_head() -> None:
    report = lvmcheck.preflight(Lightning(complete=False), labelled(), budget_s=LONG)
    assert [verdict.name for verdict in report.failed] == ["optimizer_coverage"]


# -- the real ones -----------------------------------------------------------------------------------------------------
def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=64, n_positions=32, n_embd=32, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2)
    return GPT2LMHeadModel(config)


@needs("transformers")
@pytest.mark.filterwarnings("default")
def test_gpt2() -> None:
    model = gpt2()
    report = lvmcheck.preflight(model, tokens(), optimizer=adam(model), budget_s=LONG)
    assert report, str(report)
    for name in ("causal", "target_shift", "mask_matters", "padding_ignored", "label_mask", "tied_weights"):
        assert report[name].status is Status.PASSED


@needs("peft")
@pytest.mark.filterwarnings("default")
def test_lora_of_peft() -> None:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, target_modules=["c_attn"], task_type="CAUSAL_LM", fan_in_fan_out=True)
    model = get_peft_model(gpt2(), config)
    report = lvmcheck.preflight(model, tokens(), optimizer=adam(model), budget_s=LONG)
    assert report, str(report)
    assert report["adapters_train"].status is Status.PASSED


@needs("lightning")
@pytest.mark.filterwarnings("default")
def test_lightning() -> None:
    import lightning

    class Net(Lightning, lightning.LightningModule):
        log = lightning.LightningModule.log

    report = lvmcheck.preflight(Net(), labelled(), budget_s=LONG)
    assert report, str(report)
