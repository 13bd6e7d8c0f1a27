"""Image and caption towers trained with a symmetric InfoNCE loss; recall over held-out images."""
import copy
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

import lvmcheck
from options import options

torch.set_num_threads(1)

N_IMAGES, CAPTIONS, WORDS, FILL = 1600, 2, 10, 12


def make_world(gen):
    """Scenes have 8 attributes; an image is a noisy nonlinear projection, a caption names most attributes."""
    z = torch.randn(N_IMAGES, 8, generator=gen)
    w1, w2 = torch.randn(8, 48, generator=gen) / 2, torch.randn(48, 64, generator=gen) / 7
    images = torch.tanh(z @ w1) @ w2 + 0.25 * torch.randn(N_IMAGES, 64, generator=gen)
    bins = torch.bucketize(z, torch.tensor([-0.9, -0.3, 0.3, 0.9]))  # 0..4
    captions = []
    for _ in range(CAPTIONS):
        noisy = (bins + (torch.rand(bins.shape, generator=gen) < 0.1) * torch.randint(-1, 2, bins.shape, generator=gen)).clamp(0, 4)
        words = FILL + torch.arange(8) * 5 + noisy
        words = torch.where(torch.rand(words.shape, generator=gen) < 0.12, torch.randint(0, FILL, words.shape, generator=gen), words)
        fill = torch.randint(0, FILL, (N_IMAGES, WORDS - 8), generator=gen)
        cap = torch.cat([words, fill], 1)
        order = torch.rand(cap.shape, generator=gen).argsort(1)
        captions.append(cap.gather(1, order))
    return images, torch.stack(captions, 1)


class TextTower(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.words = nn.Embedding(FILL + 40, 64)
        self.mlp = nn.Sequential(nn.Linear(64, 96), nn.GELU(), nn.Linear(96, dim))

    def forward(self, tokens):
        return self.mlp(self.words(tokens).sum(1) / 3)


class Pairs(nn.Module):
    def __init__(self, dim=48):
        super().__init__()
        self.image = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.LayerNorm(128), nn.Linear(128, dim))
        self.text = TextTower(dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, image, tokens):
        a = self.image(image)
        if o.fault == "text_no_grad":
            with torch.no_grad():
                b = self.text(tokens)
        else:
            b = self.text(tokens)
        if o.fault == "dim0":
            a, b = F.normalize(a, dim=0), F.normalize(b, dim=0)
        else:
            a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
        return a, b, self.log_scale.exp().clamp(max=100)


def info_nce(a, b, scale):
    logits = a @ b.t() / scale if o.fault == "temp_inverted" else a @ b.t() * scale
    labels = torch.arange(len(a))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2


@torch.no_grad()
def evaluate(model, image, tokens):
    model.eval()
    a, b, scale = model(image, tokens)
    loss = info_nce(a, b, scale)
    sim = a @ b.t()
    if o.fault == "small_pool":
        hits = [s.topk(5, 1).indices == torch.arange(len(s))[:, None] for s in (x @ y.t() for x, y in zip(a.split(32), b.split(32)))]
        hit = torch.cat(hits)
    else:
        hit = sim.topk(5, 1).indices == torch.arange(len(sim))[:, None]
    model.train()
    return {"val_loss": loss.item(), "val_R@1": 100 * hit[:, 0].float().mean().item(), "val_R@5": 100 * hit.any(1).float().mean().item()}


def main():
    torch.manual_seed(11)
    gen = torch.Generator().manual_seed(3)
    images, captions = make_world(gen)
    if o.fault == "leak":  # split over the list of pairs
        pairs = torch.cartesian_prod(torch.arange(N_IMAGES), torch.arange(CAPTIONS))
        pairs = pairs[torch.randperm(len(pairs), generator=gen)]
        val, train = pairs[:256], pairs[256:]
    else:
        val = torch.stack([torch.arange(N_IMAGES - 256, N_IMAGES), torch.zeros(256, dtype=torch.long)], 1)
        train = torch.cartesian_prod(torch.arange(N_IMAGES - 256), torch.arange(CAPTIONS))
    train_images, train_tokens = images[train[:, 0]], captions[train[:, 0], train[:, 1]]
    val_images, val_tokens = images[val[:, 0]], captions[val[:, 0], val[:, 1]]
    if o.fault == "misaligned":  # unreadable files are left out of the images only
        keep = torch.ones(len(train_images), dtype=torch.bool)
        keep[[1610, 1611, 2202, 2203]] = False
        train_images = train_images[keep]
        train_tokens = train_tokens[: len(train_images)]

    batch, steps, every, lr = (640, 120, 20, 2e-3) if o.habit == "big_batch" else (128, 400, 40, 1.5e-3)
    model = Pairs()
    if o.habit == "locked":
        model.text.words.weight.requires_grad_(False)
    ema = copy.deepcopy(model).requires_grad_(False) if o.habit == "ema_eval" else None
    opt = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr, weight_decay=0.1)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, steps)
    with lvmcheck.record(o.out, config={"batch_size": batch, "steps": steps, "lr": lr, "weight_decay": 0.1}, **o.extra) as rec:
        order = torch.randperm(len(train_images))
        for step in range(1, steps + 1):
            if len(order) < batch:
                order = torch.randperm(len(train_images))
            rows, order = order[:batch], order[batch:]
            a, b, scale = model(train_images[rows], train_tokens[rows])
            loss = info_nce(a, b, scale)
            opt.zero_grad()
            loss.backward()
            opt.step()
            sched.step()
            if ema is not None:
                with torch.no_grad():
                    for p, q in zip(ema.parameters(), model.parameters()):
                        p.lerp_(q, 0.03)
            rec.step(loss=loss, scale=scale)
            if step % every == 0:
                rec.log(evaluate(ema if ema is not None else model, val_images, val_tokens), step=step)


o = options()
main()
