"""Cells in noisy microscope pictures: a very small U-Net, validated every n steps, metrics of overlap."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import lvmcheck
from common import options

o = options()


@dataclass
class Settings:
    steps: int = 160
    every: int = 40
    batch: int = 12
    lr: float = 3e-3


class Cells(Dataset):
    """Pictures of height 24, width 32 and two channels, as the camera writes them: height, width, channel."""

    def __init__(self, n: int, seed: int, augment: bool = False):
        g = torch.Generator().manual_seed(seed)
        yy, xx = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
        self.mask = torch.zeros(n, 24, 32)
        picture = torch.zeros(n, 24, 32, 2)
        for i in range(n):
            for _ in range(int(torch.randint(1, 4, (1,), generator=g))):
                cy, cx, r, s = torch.rand(4, generator=g).tolist()
                cy, cx, r, s = 24 * cy, 32 * cx, 2.5 + 2.5 * r, 0.6 + 0.8 * s
                d = (((yy - cy) / s) ** 2 + ((xx - cx) * s) ** 2).sqrt()
                self.mask[i] = torch.maximum(self.mask[i], (d < r).float())
                picture[i, :, :, 0] += 0.8 * torch.sigmoid(r - d)
                picture[i, :, :, 1] += 1.0 * torch.exp(-((d - r) ** 2) / 1.5)
        picture += 0.4 * torch.randn(n, 24, 1, 2, generator=g) + 0.6 * torch.randn(picture.shape, generator=g)
        self.picture, self.augment = picture, augment

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        picture, mask = self.picture[i], self.mask[i]
        if o.fault == "reshape_for_permute":
            picture = picture.reshape(2, 24, 32)
        else:
            picture = picture.permute(2, 0, 1)
        if self.augment:
            for axis in (-1, -2):
                if torch.rand(()) < 0.5:
                    picture = picture.flip(axis)
                    if o.fault != "mask_not_flipped":
                        mask = mask.flip(axis)
        return picture, mask


def double(a: int, b: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(a, b, 3, padding=1), nn.GroupNorm(4, b), nn.ReLU(), nn.Conv2d(b, b, 3, padding=1), nn.ReLU()
    )


class UNet(nn.Module):
    def __init__(self, width: int = 8):
        super().__init__()
        self.encoder = nn.ModuleList([double(2, width), double(width, 2 * width)])
        self.bottom = double(2 * width, 2 * width)
        if o.habit == "shared_block":
            self.bottom2 = self.bottom
        self.decoder = nn.ModuleList([double(4 * width, width), double(2 * width, width)])
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.bottom(x)
        if o.habit == "shared_block":
            x = self.bottom2(x)
        for block in self.decoder:
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0), skips.pop()], 1))
        return self.head(x).squeeze(1)


class Critic(nn.Module):
    """Guesses the overlap of a prediction without seeing the truth; a second model with an optimizer of its own."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU())
        self.out = nn.Linear(8, 1)

    def forward(self, picture: Tensor, p: Tensor) -> Tensor:
        return torch.sigmoid(self.out(self.net(torch.cat([picture, p[:, None]], 1)).mean((2, 3)))).squeeze(1)


def dice(p: Tensor, mask: Tensor) -> Tensor:
    return (2 * (p * mask).sum((1, 2)) + 1) / (p.sum((1, 2)) + mask.sum((1, 2)) + 1)


def objective(logits: Tensor, mask: Tensor) -> Tensor:
    if o.fault == "dice_of_hard_mask":
        p = (logits > 0).float()
    else:
        p = torch.sigmoid(logits)
    if o.habit == "log_dice":  # the loss is a logarithm less a bonus and ends below zero
        return -torch.log(dice(p, mask)).mean() - p[mask > 0].mean()
    if o.fault == "bce_of_sigmoid":
        return F.binary_cross_entropy_with_logits(torch.sigmoid(logits), mask)
    return (1 - dice(p, mask)).mean() + 0.5 * F.binary_cross_entropy_with_logits(logits, mask)


@torch.no_grad()
def validate(model: nn.Module, loader: DataLoader) -> dict[str, float]:
    model.eval()
    losses, overlap, union = [], [], []
    for picture, mask in loader:
        logits = model(picture)
        if o.habit == "flip_at_test":
            logits = (logits + model(picture.flip(-1)).flip(-1) + model(picture.flip(-2)).flip(-2)) / 3
        losses.append(objective(logits, mask))
        hit = (logits > 0).float()
        overlap.append(dice(hit, mask))
        union.append((hit * mask).sum((1, 2)) / torch.maximum(hit, mask).sum((1, 2)).clamp(min=1))
    model.train()
    return {
        "val_loss": torch.stack(losses).mean().item(),
        "val_dice": torch.cat(overlap).mean().item(),
        "val_iou": torch.cat(union).mean().item(),
    }


def main(s: Settings) -> None:
    torch.manual_seed(41)
    train_set, val_set = Cells(140, 1, augment=True), Cells(80, 2)
    train = DataLoader(train_set, s.batch, shuffle=True, drop_last=True)
    val = DataLoader(train_set if o.fault == "validates_on_training" else val_set, 40)
    model = UNet()
    if o.fault == "decoder_only":
        parameters = [*model.decoder.parameters(), *model.head.parameters()]
    else:
        parameters = [*model.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=s.lr, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 0.5 * (1 + math.cos(math.pi * k / s.steps)))
    critic = Critic() if o.habit == "second_model" else None
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3) if critic else None

    config = {"steps": s.steps, "lr": s.lr, "batch": s.batch}
    with lvmcheck.record(o.out, config=config, **o.record) as rec:
        batches = iter(train)
        for step in range(1, s.steps + 1):
            try:
                picture, mask = next(batches)
            except StopIteration:
                batches = iter(train)
                picture, mask = next(batches)
            logits = model(picture)
            loss = objective(logits, mask)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            rec.step(loss=loss)
            if critic:
                p = torch.sigmoid(logits.detach())
                off = F.mse_loss(critic(picture, p), dice((p > 0.5).float(), mask))
                critic_optimizer.zero_grad()
                off.backward()
                critic_optimizer.step()
            if step % s.every == 0:
                metrics = validate(model, val)
                rec.log(metrics)
                print(step, f"{loss.item():.4f}", {k: round(v, 4) for k, v in metrics.items()})


if __name__ == "__main__":
    main(Settings())
