"""Pictures of two spots: an autoencoder, a variational one, a small diffusion model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck import Recorder
from suites.gallery.program import Interrupted, Program, broken, healthy

SIDE = 8


def spots(count: int, seed: int) -> Tensor:
    """Values in 0 to 1; two spots, each at a place of its own."""
    draw = torch.Generator().manual_seed(seed)
    centre = torch.rand(count, 2, 2, generator=draw) * SIDE
    axis = torch.arange(SIDE) + 0.5
    down = (-((axis - centre[:, :, :1]) ** 2) / 3).exp()
    along = (-((axis - centre[:, :, 1:]) ** 2) / 3).exp()
    return (down[..., None] * along[:, :, None]).amax(1).flatten(1)


def layers(*sizes: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for a, b in pairwise(sizes):
        parts += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def cross_entropy_by_hand(logits: Tensor, x: Tensor) -> Tensor:
    p = logits.sigmoid()
    return -(x * p.log() + (1 - x) * (1 - p).log()).mean()


def autoencode(
    rec: Recorder,
    *,
    fault: str = "",
    epochs: int = 15,
    lr: float = 3e-3,
    sum_pixels: bool = False,
    sparsity: float = 0.0,
    first: int = 1,
) -> None:
    x, held = spots(1024, 1), spots(256, 2)
    encoder, decoder = layers(64, 64, 8), layers(8, 64, 64)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=lr)

    def error(rows: Tensor) -> tuple[Tensor, Tensor]:
        code = encoder(rows * 0 if fault == "input of the encoder zeroed" else rows)
        if fault == "cross entropy by hand, without clamping":
            return cross_entropy_by_hand(decoder(code), (rows > 0.5).float()), code
        wrong = (decoder(code) - rows) ** 2
        return wrong.sum(1).mean() if sum_pixels else wrong.mean(), code

    shown = 0.0
    for epoch in range(first, first + epochs):
        for part in torch.randperm(len(x)).split(64):
            loss, code = error(x[part])
            terms = None
            if sparsity:
                terms = {"reconstruction": (1.0, loss.detach()), "sparsity": (sparsity, code.abs().mean().detach())}
                loss = loss + sparsity * code.abs().mean()
            if fault == "error maximised":
                loss = -loss
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(parameters, 1e6)
            optimizer.step()
            if fault == "the loss of the first step is logged for ever":
                shown = shown or loss.item()
                rec.step(loss=shown, grad_norm=norm, lr=lr)
            else:
                rec.step(loss=loss, terms=terms, grad_norm=norm, lr=lr)
            if fault == "stopped by hand in the fourth epoch" and rec.steps == 56:
                raise Interrupted
        batches = [] if fault == "validation loader is empty" else list(held.split(64))
        with torch.no_grad():
            total = sum(error(rows)[0].item() for rows in batches) / max(1, len(batches))
            wrong = ((decoder(encoder(0 * held if "zeroed" in fault else held)) - held) ** 2).mean().item()
        metrics = {"val_loss": total}
        if fault in ("", "input of the encoder zeroed"):
            metrics["val_explained_variance"] = 1 - wrong / held.var(0).mean().item()
        rec.epoch(epoch, **metrics)


def variational(rec: Recorder, *, warm_up: int = 8, beta: float = 1.0, epochs: int = 16) -> None:
    """The weight of the divergence rises over the first epochs, and with it the total."""
    x, held = spots(1024, 1), spots(256, 2)
    encoder, decoder = layers(64, 64, 16), layers(8, 64, 64)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=2e-3)

    def parts(rows: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = encoder(rows).chunk(2, 1)
        code = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        wrong = ((decoder(code) - rows) ** 2).sum(1).mean() * 50  # a deviation of 0.1 a pixel
        return wrong, 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()

    for epoch in range(epochs):
        weight = beta * min(1.0, (epoch + 1) / warm_up) if warm_up else beta
        for rows in x[torch.randperm(len(x))].split(64):
            wrong, divergence = parts(rows)
            loss = wrong + weight * divergence
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss, terms={"reconstruction": (1.0, wrong.detach()), "kl": (weight, divergence.detach())})
        with torch.no_grad():
            wrong, divergence = parts(held)
        rec.epoch(epoch, valid_recon=wrong.item(), valid_kl=divergence.item(), beta=weight)


def diffuse(rec: Recorder, *, fault: str = "", epochs: int = 20, lr: float = 2e-3) -> None:
    """The noise in a picture is predicted; the loss falls fast, then hardly, and can never reach 0."""
    x, held = 2 * spots(1024, 1) - 1, 2 * spots(256, 2) - 1
    model = layers(65, 160, 160, 64)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def error(clean: Tensor, draw: torch.Generator | None = None) -> Tensor:
        time = torch.rand(len(clean), 1, generator=draw)
        noise = torch.randn(clean.shape, generator=draw)
        keep = torch.cos(1.5 * time)
        noisy = keep * clean + (1 - keep**2).sqrt() * noise
        if fault == "noise drawn anew for the target":
            noise = torch.randn(clean.shape, generator=draw)
        return F.mse_loss(model(torch.cat([noisy, time], 1)), noise)

    for epoch in range(1, epochs + 1):
        for rows in x[torch.randperm(len(x))].split(64):
            loss = error(rows)
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            rec.step(loss=loss, grad_norm=norm, lr=lr, samples=len(rows))
        with torch.no_grad():
            test = error(held, torch.Generator().manual_seed(4)).item()
        rec.epoch(epoch, test_loss=test)


PROGRAMS: Sequence[Program] = (
    healthy("spots_autoencoder", "the first epoch only finds the mean picture", autoencode, config={"epochs": 15}),
    healthy(
        "spots_summed_pixels",
        "the error is summed over the pixels of a picture, in training and validation alike: it begins above 5",
        partial(autoencode, sum_pixels=True, first=0),
    ),
    healthy(
        "spots_sparse",
        "a small regulariser beside the main loss, logged as a term",
        partial(autoencode, sparsity=1e-3),
        config={"epochs": 15, "loss": {"reconstruction": 1.0, "sparsity": 1e-3}},
    ),
    healthy(
        "spots_variational",
        "the weight of the divergence warms up, so that the total and the reconstruction rise on the way",
        variational,
        config={"epochs": 16, "kl_warm_up": 8},
    ),
    healthy(
        "spots_diffusion", "the loss falls fast, then hardly, and ends far above 0", diffuse, config={"epochs": 20}
    ),
    broken(
        "spots_input_zeroed",
        "input of the encoder zeroed",
        "not_learning",
        "the error falls to the variance of the pixels in the first epochs and stays; nothing is explained",
        partial(autoencode, fault="input of the encoder zeroed"),
        config={"epochs": 15},
    ),
    broken(
        "spots_divergence_dominates",
        "divergence weighted 200 times too much",
        "dominant_term collapsed_representation",
        "the divergence goes to 0 at once and the reconstruction stays at the variance of the pixels",
        partial(variational, beta=200.0, warm_up=0),
        config={"epochs": 16, "beta": 200.0},
    ),
    broken(
        "spots_log_of_zero",
        "cross entropy by hand, log of 0",
        "numeric_range",
        "a sound loss, then NaN from one step to the next at an ordinary gradient",
        partial(autoencode, fault="cross entropy by hand, without clamping", lr=0.02, epochs=30),
        config={"epochs": 30, "lr": 0.02},
    ),
    broken(
        "spots_error_maximised",
        "sign of the loss wrong",
        "loss_sign diverging",
        "the train loss falls below 0 without end while the validation error climbs by orders of magnitude",
        partial(autoencode, fault="error maximised", epochs=6),
        config={"epochs": 6},
    ),
    broken(
        "spots_validation_empty",
        "validation loader is empty",
        "metric_constant loss_not_computed",
        "the validation loss is exactly 0.0 in every epoch",
        partial(autoencode, fault="validation loader is empty"),
        config={"epochs": 15},
    ),
    broken(
        "spots_loss_of_first_step",
        "the loss of the first step is logged for ever",
        "loss_constant",
        "every step has the same loss to the last digit, though the gradient shrinks and validation improves",
        partial(autoencode, fault="the loss of the first step is logged for ever"),
        config={"epochs": 15},
    ),
    broken(
        "spots_interrupted",
        "stopped by hand in the fourth of 15 epochs",
        "interrupted",
        "three of fifteen epochs, and a completion record that names the keyboard",
        partial(autoencode, fault="stopped by hand in the fourth epoch"),
        config={"epochs": 15},
    ),
    broken(
        "spots_other_noise",
        "noise drawn anew for the target",
        "label_mismatch not_learning",
        "the loss falls to 1, the variance of the noise, and not by a hundredth below",
        partial(diffuse, fault="noise drawn anew for the target", epochs=12),
        config={"epochs": 12},
    ),
    broken(
        "spots_rate_tiny",
        "learning rate divided by 1000",
        "learning_rate_too_low",
        "train and test loss fall by a few thousandths an epoch, in a straight line, and are near 1 at the end",
        partial(diffuse, lr=2e-6, epochs=12),
        config={"epochs": 12, "lr": 2e-6},
    ),
)
