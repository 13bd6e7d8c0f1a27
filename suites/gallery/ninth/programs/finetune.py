"""Fine-tune a 1-d convolutional backbone, trained on twenty machines, to name five faults of a pump."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

import lvmcheck
from common import options

torch.set_num_threads(1)
opts = options()
HERE = os.path.dirname(os.path.abspath(__file__))
BACKBONE = os.path.join(HERE, "backbone.pt")
LENGTH = 96


@dataclass
class Settings:
    epochs: int = 14
    batch_size: int = 32
    head_lr: float = 5e-3
    backbone_lr: float = 3e-4
    weight_decay: float = 1e-2
    frozen_epochs: int = 0


def signals(classes: int, per_class: list[int], world: int, seed: int, noise: float) -> tuple[Tensor, Tensor, Tensor]:
    """Vibration signals: each class has frequencies and a burst of its own; returns signals, labels, recording."""
    kinds, rng = np.random.default_rng(world), np.random.default_rng(seed)
    spec = [(kinds.uniform(2, 18, 3), kinds.uniform(0.5, 1.2, 3), kinds.uniform(8, 22), kinds.uniform(0, 1.5)) for _ in range(classes)]
    hop, windows = 16, 4  # four windows of each recording, which overlap
    t = np.arange(LENGTH + hop * (windows - 1)) / LENGTH
    xs, ys, rs = [], [], []
    for k, n in enumerate(per_class):
        freq, amp, burst, strength = spec[k]
        for i in range(n // windows):
            colour = rng.normal(0, noise * 0.6, len(t)).cumsum() / 5
            drift, gain = rng.normal(1, 0.05), rng.uniform(0.6, 1.4)
            phase = rng.uniform(0, 2 * np.pi, 3)
            wave = sum(a * np.sin(2 * np.pi * f * drift * t + p) for f, a, p in zip(freq, amp, phase))
            at = rng.uniform(0.4, 1.0)
            wave = wave + strength * np.exp(-(((t - at) / 0.05) ** 2)) * np.sin(2 * np.pi * burst * 2 * t)
            wave = gain * wave + colour + rng.normal(0, noise, len(t))
            for w in range(windows):
                xs.append(wave[w * hop : w * hop + LENGTH])
                ys.append(k)
                rs.append(k * 1000 + i)
    return torch.tensor(np.array(xs), dtype=torch.float32)[:, None], torch.tensor(ys), torch.tensor(rs)


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(1, 16, 9, stride=2, padding=4), nn.BatchNorm1d(16)
        self.conv2, self.bn2 = nn.Conv1d(16, 32, 7, stride=2, padding=3), nn.BatchNorm1d(32)
        self.conv3, self.bn3 = nn.Conv1d(32, 48, 5, stride=2, padding=2), nn.BatchNorm1d(48)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        x = torch.relu(self.bn3(self.conv3(x)))
        return torch.cat([x.mean(-1), x.amax(-1)], 1)


class Classifier(nn.Module):
    def __init__(self, backbone: Backbone, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(96, classes))

    def forward(self, x: Tensor) -> Tensor:
        if opts.fault == "features_no_grad":
            with torch.no_grad():
                h = self.backbone(x)
            return self.head(h)
        return self.head(self.backbone(x))


def pretrain() -> None:
    """Made once: the backbone, the statistics of its inputs."""
    x, y, _ = signals(20, [160] * 20, world=1, seed=2, noise=0.7)
    mean, std = x.mean(), x.std()
    model = Classifier(Backbone(), 20)
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(15):
        for rows in torch.randperm(len(x)).split(64):
            opt.zero_grad()
            nn.functional.cross_entropy(model((x[rows] - mean) / std), y[rows]).backward()
            opt.step()
    torch.save({"model": model.state_dict(), "mean": mean, "std": std}, BACKBONE)


def macro_f1(predicted: Tensor, truth: Tensor) -> float:
    scores = []
    for k in truth.unique():
        hit = ((predicted == k) & (truth == k)).sum()
        scores.append(2 * hit / ((predicted == k).sum() + (truth == k).sum()).clamp(min=1))
    return float(torch.stack(scores).mean())


class Trainer:
    def __init__(self, settings: Settings) -> None:
        self.s = settings
        saved = torch.load(BACKBONE)
        noise, per_class = 1.6, [160, 120, 100, 72, 56]
        if opts.habit == "solved_at_once":
            noise = 0.5
        x, y, recording = signals(5, per_class, world=11, seed=5, noise=noise)
        x = (x - saved["mean"]) / saved["std"]
        if opts.fault == "windows_split":
            order = torch.randperm(len(x))
            dev = order < len(x) // 4
        else:
            dev = recording % 4 == 3
        self.x, self.y, self.dev_x, self.dev_y = x[~dev], y[~dev], x[dev], y[dev]
        if opts.fault == "dev_labels_resorted":
            names = ["5-ok", "12-leak", "31-cavity", "7-bearing", "20-seal"]
            self.dev_y = torch.tensor([sorted(names).index(names[k]) for k in self.dev_y])

        backbone = Backbone()
        weights = {k.removeprefix("backbone."): v for k, v in saved["model"].items() if k.startswith("backbone.")}
        if opts.fault == "load_nothing":
            weights = saved["model"]
        backbone.load_state_dict(weights, strict=opts.fault != "load_nothing")
        self.weights = weights
        self.model = Classifier(backbone, 5)
        if self.s.frozen_epochs:
            backbone.requires_grad_(False)
        head, body = self.model.head.parameters(), backbone.parameters()
        rates = (self.s.head_lr, self.s.backbone_lr)
        if opts.fault == "rates_swapped":
            rates = rates[::-1]
        sets = [{"params": head, "lr": rates[0]}, {"params": body, "lr": rates[1]}]
        if opts.fault == "unfrozen_not_optimised":
            sets = [{"params": [p for p in self.model.parameters() if p.requires_grad], "lr": rates[0]}]
        self.opt = torch.optim.AdamW(sets, weight_decay=self.s.weight_decay)
        if opts.fault == "head_after_optimizer":
            self.model.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(96, 5))
        self.loss = nn.CrossEntropyLoss()

    def fit(self, rec) -> None:
        for epoch in range(self.s.epochs):
            if self.s.frozen_epochs and epoch == self.s.frozen_epochs and opts.habit != "linear_probe":
                self.model.backbone.requires_grad_(True)
            if opts.fault == "reload_each_epoch":
                self.model.backbone.load_state_dict(self.weights)
            self.model.train()
            if opts.habit == "linear_probe":
                self.model.backbone.eval()
            seen = []
            for rows in torch.randperm(len(self.x)).split(self.s.batch_size):
                self.opt.zero_grad()
                loss = self.loss(self.model(self.x[rows]), self.y[rows])
                loss.backward()
                self.opt.step()
                rec.step(loss=loss)
                seen.append(loss.item())
            rec.epoch(epoch, **{"trn/ce": float(np.mean(seen))}, **self.evaluate())

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        self.model.eval()
        logits = self.model(self.dev_x)
        predicted = logits.argmax(1)
        return {
            "dev/ce": self.loss(logits, self.dev_y).item(),
            "dev_f1": macro_f1(predicted, self.dev_y),
            "dev_acc_pct": 100 * (predicted == self.dev_y).float().mean().item(),
        }


def main() -> None:
    torch.manual_seed(17)
    settings = Settings()
    if opts.fault == "one_high_rate":
        settings.head_lr = settings.backbone_lr = 5e-2
    if opts.habit == "gradual_unfreezing" or opts.fault == "unfrozen_not_optimised":
        settings.frozen_epochs = 5
    if opts.habit == "linear_probe":
        settings.frozen_epochs = settings.epochs = 20
    if not os.path.exists(BACKBONE):
        pretrain()
    trainer = Trainer(settings)
    with lvmcheck.record(opts.outdir, config=asdict(settings), **opts.record) as rec:
        trainer.fit(rec)


if __name__ == "__main__":
    main()
