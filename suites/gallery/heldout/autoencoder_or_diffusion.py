"""Generative models: a denoising diffusion model of points in the plane, a variational autoencoder of strokes."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from lvmcheck import Recorder
from suites.gallery.heldout._kit import batches, grad_norm
from suites.gallery.program import Interrupted, Program, broken, healthy

LEVELS = 40
KEPT = torch.cos(torch.linspace(0.02, 1.45, LEVELS)).pow(2)


def moons(count: int) -> Tensor:
    side = torch.randint(2, (count,)).float()
    angle = math.pi * torch.rand(count)
    points = torch.stack([angle.cos() + side, (1 - 2 * side) * angle.sin() + side * 0.4], 1)
    return (points + 0.06 * torch.randn(count, 2) - torch.tensor([0.5, 0.2])) * 1.3


def sliced(a: Tensor, b: Tensor) -> float:
    """Sliced Wasserstein distance of two clouds of the same size."""
    angle = torch.arange(16) * math.pi / 16
    way = torch.stack([angle.cos(), angle.sin()])
    return float(((a @ way).sort(0).values - (b @ way).sort(0).values).abs().mean())


def diffusion(
    rec: Recorder,
    *,
    fault: str = "",
    epochs: int = 12,
    rate: float = 3e-3,
    ema: float = 0.0,
    sample_every: int = 3,
    stop_at: int = 0,
) -> None:
    """Predict the noise; the loss is 1 for a model that says nothing and noisy for ever."""
    net = nn.Sequential(nn.Linear(2 + 16, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 2))
    average = copy.deepcopy(net)
    optimizer = torch.optim.Adam(net.parameters(), rate)
    data, held = moons(3000), moons(512)

    def predict(model: nn.Module, noisy: Tensor, level: Tensor) -> Tensor:
        phase = level[:, None].float() / LEVELS * 3.14 * 2.0 ** torch.arange(-2, 6)
        out: Tensor = model(torch.cat([noisy, phase.sin(), phase.cos()], 1))
        return out

    def error(clean: Tensor, lowest: int = 0) -> Tensor:
        level = torch.randint(lowest, LEVELS, (len(clean),))
        noise, kept = torch.randn_like(clean), KEPT[level][:, None]
        noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
        want = torch.randn_like(clean) if fault == "other noise" else noise
        return functional.mse_loss(predict(net, noisy, level), want)

    def draw(model: nn.Module) -> Tensor:
        x = torch.randn(512, 2)
        for t in reversed(range(LEVELS)):
            kept, before = KEPT[t], KEPT[t - 1] if t else torch.tensor(1.0)
            noise = predict(model, x, torch.full((512,), t))
            x = (
                before.sqrt() * ((x - (1 - kept).sqrt() * noise) / kept.sqrt()).clamp(-4, 4)
                + (1 - before).sqrt() * noise
            )
        return x

    for epoch in range(1, epochs + 1):
        total, count = 0.0, 0
        for index in batches(3000, 100):
            loss = error(data[index])
            optimizer.zero_grad()
            loss.backward()
            norm = grad_norm(net.parameters())
            if fault != "step not called":
                optimizer.step()
            rec.step(loss=loss, grad_norm=norm, samples=100)
            for mean, live in zip(average.parameters(), net.parameters(), strict=True):
                mean.data.lerp_(live.data, 1 - ema)
            total, count = total + loss.item(), count + 1
            if stop_at and rec.steps == stop_at:
                raise Interrupted
        metrics = {"train/loss": total / count}
        with torch.no_grad():
            if not ema:
                metrics["val/loss"] = error(held, LEVELS - 8 if fault == "high levels only" else 0).item()
            if epoch % sample_every == 0:
                metrics["sample_distance"] = sliced(draw(average if ema else net), held)
        rec.epoch(epoch, **metrics)


def strokes(count: int) -> Tensor:
    """8 x 8 pictures of a line with free slope and height, between 0 and 1."""
    slope, height = torch.randn(count, 1, 1) * 0.7, torch.rand(count, 1, 1) * 4 + 1.5
    row, column = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    far = (row - height - slope * (column - 3.5)).abs()
    return (0.95 * torch.exp(-far) + 0.05 * torch.rand(count, 8, 8)).flatten(1)


def variational(
    rec: Recorder,
    *,
    fault: str = "",
    epochs: int = 15,
    rate: float = 3e-3,
    kl_epochs: int = 0,
    gaussian: bool = False,
    rows: int = 1280,
    width: int = 64,
    every: int = 1,
    decay: float = 0.0,
) -> None:
    """Bernoulli or Gaussian pixels, four latent numbers, terms recorded; Adamax."""
    data, held = strokes(rows), strokes(300)
    if fault == "pixels as bytes":
        data, held = data * 255, held * 255
    encoder = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 8))
    decoder = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 64))
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, rate, weight_decay=decay)

    def parts(x: Tensor) -> tuple[Tensor, Tensor]:
        mean, spread = encoder(x).chunk(2, 1)
        z = mean + spread.mul(0.5).exp() * torch.randn_like(mean)
        out = decoder(z * 0 if fault == "latent times 0" else z)
        kl = 0.5 * (mean.pow(2) + spread.exp() - 1 - spread).sum(1).mean()
        if gaussian:
            return (50 * (out - x).pow(2) - 1.38).sum(1).mean(), kl
        pixels = functional.binary_cross_entropy_with_logits(out, x, reduction="none")
        return (pixels.mean() if fault == "mean of pixels" else pixels.sum(1).mean()), kl

    for epoch in range(epochs):
        weight = min(1.0, epoch / kl_epochs) if kl_epochs else 1.0
        total, count = 0.0, 0
        for index in batches(rows, 32):
            reconstruction, kl = parts(data[index])
            loss = reconstruction + weight * kl
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss, terms={"reconstruction": (1.0, reconstruction), "kl": (weight, kl)}, lr=rate)
            total, count = total + loss.item(), count + 1
        with torch.no_grad():
            reconstruction, kl = parts(held)
        metrics = {"elbo_loss": total / count}
        if (epoch + 1) % every == 0:
            metrics |= {
                "val_loss": float(reconstruction + weight * kl),
                "val_rec": float(reconstruction),
                "kl": float(kl),
            }
        rec.epoch(epoch, **metrics)


VAE = {"epochs": 15, "lr": 3e-3, "latent": 4}
PROGRAMS: Sequence[Program] = (
    healthy(
        "moons_diffusion",
        "A noisy loss that stays at half its first value for ever; samples are judged every third epoch.",
        diffusion,
        config={"epochs": 12, "lr": 3e-3},
    ),
    healthy(
        "moons_diffusion_ema",
        "No validation loss; an average of the weights makes the samples, every fifth epoch.",
        partial(diffusion, ema=0.98, epochs=16, sample_every=5),
    ),
    broken(
        "moons_diffusion_other_noise",
        "the target is noise that was not added",
        "label_mismatch not_learning",
        "The loss stays at 1, the variance of the noise, and samples at their first distance.",
        partial(diffusion, fault="other noise"),
    ),
    broken(
        "moons_diffusion_no_step",
        "optimizer.step() is missing",
        "weights_never_move not_learning",
        "The loss stays at 1 with gradients that do not change either.",
        partial(diffusion, fault="step not called"),
    ),
    broken(
        "moons_diffusion_fast",
        "a learning rate of 1.5 instead of 3e-3",
        "learning_rate_too_high",
        "The loss rises to 1e8 in the first epoch and stays 30 times the first; samples are NaN.",
        partial(diffusion, rate=1.5),
        config={"lr": 1.5, "epochs": 12},
    ),
    broken(
        "moons_diffusion_levels",
        "validation draws the eight highest noise levels only",
        "validation_differs",
        "The validation loss is a fifth to a seventh of the training loss in every epoch.",
        partial(diffusion, fault="high levels only"),
    ),
    broken(
        "moons_diffusion_keyboard",
        "stopped by hand after 100 steps of 360",
        "interrupted",
        "The run ended by the keyboard in epoch 4 of 12.",
        partial(diffusion, stop_at=100),
        config={"epochs": 12, "lr": 3e-3},
    ),
    healthy(
        "stroke_vae",
        "The KL term is 0 at first and grows by itself; the loss ends at 30, not at 0.",
        variational,
        config=VAE,
    ),
    healthy(
        "stroke_vae_kl_warmup",
        "The weight of the KL term grows for ten epochs, and the loss rises with it from epoch 4 to 12.",
        partial(variational, kl_epochs=10, epochs=20),
        config={**VAE, "kl_warmup": 10},
    ),
    healthy(
        "stroke_vae_gaussian",
        "The loss begins in the hundreds and becomes negative; validated every fifth epoch.",
        partial(variational, gaussian=True, every=5, epochs=20),
    ),
    broken(
        "stroke_vae_mean",
        "pixels are averaged, the KL term is summed",
        "wrong_scale dominant_term collapsed_representation",
        "KL is 0 from the first epoch; a reconstruction of 0.52 a pixel is that of the mean picture.",
        partial(variational, fault="mean of pixels"),
        config=VAE,
    ),
    broken(
        "stroke_vae_latent",
        "the latent numbers are multiplied by 0",
        "collapsed_representation not_learning",
        "KL is 0 from the first epoch and the reconstruction stays at that of the mean picture.",
        partial(variational, fault="latent times 0"),
        config=VAE,
    ),
    broken(
        "stroke_vae_decay",
        "weight decay of 60",
        "not_learning collapsed_representation",
        "The loss stays within a few percent of 64 ln 2, falls a little, and returns there for good.",
        partial(variational, decay=60.0),
    ),
    broken(
        "stroke_vae_rate_1",
        "a learning rate of 1 instead of 3e-3",
        "learning_rate_too_high",
        "The loss rises to 5e5 in the first steps; the reconstruction is never better than the mean picture.",
        partial(variational, rate=1.0),
    ),
    broken(
        "stroke_vae_bytes",
        "pixels are 0 to 255 for a Bernoulli",
        "wrong_scale numeric_range diverging",
        "A loss of 1e28 that does not fall and a reconstruction that runs to minus infinity.",
        partial(variational, fault="pixels as bytes"),
    ),
)
