"""Ordinary healthy programs: arguments of ``lvmcheck.preflight`` by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from models.lvm.amn import AMN

Program = Callable[[], dict[str, Any]]
VOCABULARY, LENGTH = 24, 12


def adam(model: nn.Module, lr: float = 1e-3) -> torch.optim.Optimizer:
    return torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=lr)


def small_net(inputs: int = 10, outputs: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 32), nn.GELU(), nn.Linear(32, outputs))


def labelled(rows: int = 24, inputs: int = 10, classes: int = 4) -> tuple[Tensor, Tensor]:
    return torch.randn(rows, inputs), torch.arange(rows) % classes


# -- classifiers -------------------------------------------------------------------------------------------------------
class ConvNet(nn.Module):
    """Convolutions with batch norm, dropout and a linear head."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.norm2 = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x)).relu()
        x = self.norm2(self.conv2(x)).relu().mean((2, 3))
        out: Tensor = self.head(self.dropout(x))
        return out


def classifier(width: int = 8, rows: int = 20) -> dict[str, Any]:
    model = ConvNet(width)
    batch = (torch.randn(rows, 3, 12, 12), torch.arange(rows) % 5)
    return {"model": model, "batch": batch, "loss": nn.CrossEntropyLoss(), "optimizer": adam(model)}


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(6, 16, num_layers=2, dropout=0.1, batch_first=True)
        self.head = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.rnn(x)[0][:, -1])
        return out


def recurrent() -> dict[str, Any]:
    model = Recurrent()
    batch = (torch.randn(12, 9, 6), torch.randn(12, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1e-3, total_iters=5)
    return {
        "model": model,
        "batch": batch,
        "loss": nn.functional.mse_loss,
        "optimizer": optimizer,
        "scheduler": scheduler,
    }


# -- language models ---------------------------------------------------------------------------------------------------
class Block(nn.Module):
    def __init__(self, width: int, causal: bool = True) -> None:
        super().__init__()
        self.causal = causal
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
        length = x.shape[1]
        if self.causal:
            scores = scores.masked_fill(torch.ones(length, length).triu(1).bool(), float("-inf"))
        if mask is not None:
            scores = scores.masked_fill(mask[:, None] == 0, -1e9)
        x = x + self.out(scores.softmax(-1) @ v)
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class Language(nn.Module):
    """A small transformer with tied embeddings; `checkpointing` computes its blocks again in the backward pass."""

    def __init__(self, width: int = 32, *, causal: bool = True, checkpointing: bool = False, tie: bool = True) -> None:
        super().__init__()
        self.embedding, self.positions = nn.Embedding(VOCABULARY, width), nn.Embedding(64, width)
        self.blocks = nn.ModuleList([Block(width, causal) for _ in range(2)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        self.checkpointing = checkpointing
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.positions.weight, std=0.02)
        nn.init.normal_(self.head.weight, std=0.02)
        if tie:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.embedding(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = checkpoint(block, x, mask, use_reentrant=False) if self.checkpointing else block(x, mask)
        out: Tensor = self.head(self.norm(x))
        return out


def text(rows: int = 8) -> Tensor:
    return torch.randint(3, VOCABULARY, (rows, LENGTH + 1))


def next_token(output: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(output.flatten(0, 1), target.flatten())


def language(**options: Any) -> dict[str, Any]:
    model, tokens = Language(**options), text()
    batch = (tokens[:, :-1], tokens[:, 1:])
    return {"model": model, "batch": batch, "loss": next_token, "optimizer": adam(model)}


def gradient_checkpointing() -> dict[str, Any]:
    return language(checkpointing=True)


# -- others ------------------------------------------------------------------------------------------------------------
def autoencoder() -> dict[str, Any]:
    model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3), nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 12))
    return {"model": model, "batch": torch.rand(32, 12), "loss": functional.mse_loss, "optimizer": adam(model)}


def info_nce(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    one, two = (functional.normalize(model(view), dim=-1) for view in batch)
    return functional.cross_entropy(one @ two.T / 0.1, torch.arange(len(one)))


def contrastive() -> dict[str, Any]:
    model, x = small_net(10, 8), torch.randn(24, 10)
    batch = (x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x))
    return {"model": model, "batch": batch, "loss": info_nce, "optimizer": adam(model)}


def gan_generator() -> dict[str, Any]:
    model = nn.Sequential(nn.Linear(6, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 10), nn.Tanh())
    critic = nn.Sequential(nn.Linear(10, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))

    def loss(generator: nn.Module, noise: Tensor) -> Tensor:
        score = critic(generator(noise))
        return functional.binary_cross_entropy_with_logits(score, torch.ones_like(score))

    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4, betas=(0.5, 0.999))
    return {"model": model, "batch": torch.randn(16, 6), "loss": loss, "optimizer": optimizer}


def reinforce(policy: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    chosen = torch.distributions.Categorical(logits=policy(batch["observation"])).log_prob(batch["action"])
    return -(chosen * batch["advantage"]).mean()


def policy_net() -> dict[str, Any]:
    model = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 3))
    batch = {"observation": torch.randn(40, 4), "action": torch.randint(3, (40,)), "advantage": torch.randn(40)}
    return {"model": model, "batch": batch, "loss": reinforce, "optimizer": adam(model)}


class LoraLinear(nn.Module):
    """A frozen layer with a low-rank correction that begins at 0."""

    def __init__(self, base: nn.Linear, rank: int = 2, scale: float = 2.0) -> None:
        super().__init__()
        self.base_layer, self.scale = base, scale
        self.lora_A = nn.Parameter(torch.randn(rank, base.in_features) * 0.1)
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base_layer(x) + self.scale * (x @ self.lora_A.T @ self.lora_B.T)
        return out


class Lora(nn.Module):
    def __init__(self, *, freeze: bool = True, scale: float = 2.0) -> None:
        super().__init__()
        first, second = nn.Linear(10, 16), nn.Linear(16, 16)
        if freeze:
            first.requires_grad_(False)
            second.requires_grad_(False)
        self.first, self.second = LoraLinear(first, scale=scale), LoraLinear(second, scale=scale)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.second(self.first(x).relu()).relu())
        return out


def lora(**options: Any) -> dict[str, Any]:
    model = Lora(**options)
    return {"model": model, "batch": labelled(), "loss": functional.cross_entropy, "optimizer": adam(model)}


def bf16_autocast() -> dict[str, Any]:
    model = small_net()

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return functional.cross_entropy(model(batch[0]), batch[1])

    return {"model": model, "batch": labelled(), "loss": loss, "optimizer": adam(model)}


def amn(rows: int = 512, size: int = 768) -> dict[str, Any]:
    model = AMN(size)
    x = functional.normalize(torch.randn(rows, 8, size), dim=-1)
    target = functional.normalize(x.mean(1) + 0.05 * torch.randn(rows, size), dim=-1)

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return (1 - (output * target).sum(-1)).mean()

    return {"model": model, "batch": (x, target), "loss": loss, "optimizer": adam(model)}


TEN: dict[str, Program] = {
    "classifier": classifier,
    "recurrent": recurrent,
    "transformer_lm": language,
    "autoencoder": autoencoder,
    "contrastive": contrastive,
    "gan_generator": gan_generator,
    "policy_net": policy_net,
    "lora": lora,
    "bf16_autocast": bf16_autocast,
    "gradient_checkpointing": gradient_checkpointing,
}
