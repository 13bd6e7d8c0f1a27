"""Series of numbers, classified or tagged by a recurrent net; and a deep net that needs no recurrence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import DataLoader, TensorDataset

from suites.gallery.silent._kit import Family

LENGTH, KINDS = 14, 4


def series(rows: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Waves of four shapes of noise: the series, its kind, a tag for each position, its length."""
    g = torch.Generator().manual_seed(seed)
    kind = torch.randint(0, KINDS, (rows,), generator=g)
    time = torch.arange(LENGTH) + 6 * torch.rand(rows, 1, generator=g)
    wave = torch.sin(time * (0.35 + 0.35 * kind.unsqueeze(1)))
    other = torch.cos(time * (0.3 + 0.25 * kind.unsqueeze(1))) + 0.5 * torch.randn(rows, LENGTH, generator=g)
    x = torch.stack([wave + 0.5 * torch.randn(rows, LENGTH, generator=g), other], 2)
    tag = (wave > 0).long() + 2 * (wave.diff(dim=1, prepend=wave[:, :1]) > 0).long()
    return x, kind, tag, torch.randint(LENGTH // 2, LENGTH + 1, (rows,), generator=g)


class Reader(nn.Module):
    """A GRU with a head for the kind and one for the tags, or a deep stack of layers."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.variant = variant
        both = variant in ("tags_both_ways",)
        self.rnn = nn.GRU(2, 24, batch_first=variant != "rows_as_time", bidirectional=both)
        wide = 48 if both else 24
        self.kind, self.tag = nn.Linear(wide, KINDS), nn.Linear(wide, 4)

    def forward(self, x: Tensor, lengths: Tensor | None = None, state: Tensor | None = None) -> Any:
        if lengths is not None:
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            return self.kind(self.rnn(packed)[1][-1]), None, None
        h, last = self.rnn(x, state)
        tag_input = h.detach() if self.variant == "tag_head_on_detached" else h
        return self.kind(h.mean(1)), self.tag(tag_input), last


class Deep(nn.Module):
    """A stack of layers of equal width, with or without what keeps gradients alive."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.variant = variant
        self.start = nn.Linear(2 * LENGTH, 32)
        self.layers = nn.ModuleList([nn.Linear(32, 32) for _ in range(9)])
        self.kind = nn.Linear(32 + (2 * LENGTH if variant == "deep_sigmoid" else 0), KINDS)
        if variant == "deep_gain":
            for layer in self.layers:
                nn.init.orthogonal_(layer.weight, gain=2.4)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        h = self.start(flat)
        for layer in self.layers:
            if self.variant == "deep_sigmoid":
                h = torch.sigmoid(layer(h))
            elif self.variant == "deep_gain":
                h = F.leaky_relu(layer(h), 0.5)
            else:
                h = h + 0.5 * F.relu(layer(h))
        return self.kind(torch.cat([h, flat], 1) if self.variant == "deep_sigmoid" else h)


def train(rec: Any, variant: str = "clean") -> Any:
    torch.manual_seed(21)
    x, kind, tag, length = series(640, 1)
    vx, vkind, vtag, vlength = series(192, 2)
    tags = variant.startswith("tag")
    if variant == "tags_late":
        tag = tag.roll(1, 1)
    if variant == "tags_rolled_rows":
        tag = tag.roll(1, 0)
    deep = variant.startswith("deep")
    model = Deep(variant) if deep else Reader(variant)
    used = [p for n, p in model.named_parameters() if deep or n.startswith(("rnn", "tag" if tags else "kind"))]
    if variant in (
        "two_terms",
        "tag_term_is_number",
        "tag_head_on_detached",
        "tag_term_rules",
        "tag_head_alone_on_detached",
    ):
        used = list(model.parameters())
    elif not deep:
        (model.kind if tags else model.tag).requires_grad_(False)  # the other head is not used here
    optimizer = torch.optim.Adam(used, lr=1e-3 if deep else 8e-3)
    heads = torch.optim.Adam(model.tag.parameters(), lr=8e-3) if variant == "held_by_two" else None
    loader = DataLoader(TensorDataset(x, kind, tag, length), 64, shuffle=True)
    val_loader = DataLoader(TensorDataset(vx, vkind, vtag, vlength), 192)
    rec.watch(model, [optimizer, heads] if heads else optimizer, train=loader, val=val_loader)

    def losses(xb: Tensor, kb: Tensor, tb: Tensor, lb: Tensor, state: Tensor | None = None) -> Any:
        if deep:
            output = model(xb)
            return F.cross_entropy(output, kb), output, kb, None
        if variant == "packed":
            output = model(xb, lb)[0]
            return F.cross_entropy(output, kb), output, kb, None
        kind_output, tag_output, state = model(xb, None, state)
        of_kind = F.cross_entropy(kind_output, kb)
        of_tag = F.cross_entropy(tag_output.flatten(0, 1), tb.flatten())
        if tags and variant not in ("tag_term_is_number", "tag_head_on_detached", "tag_term_rules"):
            return of_tag, tag_output, tb, state
        if variant == "two_terms":
            return of_kind + 0.5 * of_tag, kind_output, kb, state
        if variant == "tag_term_is_number":
            return of_kind + 0.5 * of_tag.item(), kind_output, kb, state
        if variant == "tag_head_on_detached":
            return of_kind + 0.5 * of_tag, kind_output, kb, state
        if variant == "tag_term_rules":
            return 0.002 * of_kind + 50.0 * of_tag, kind_output, kb, state
        return of_kind, kind_output, kb, state

    history = []
    for epoch in range(8):
        model.train()
        for xb, kb, tb, lb in loader:
            if variant == "tags_carry_state":  # truncated backpropagation through time
                state, total = None, 0.0
                for part in (slice(0, 7), slice(7, 14)):
                    optimizer.zero_grad()
                    loss, _, _, state = losses(xb[:, part], kb, tb[:, part], lb, state)
                    loss.backward()
                    optimizer.step()
                    state = state.detach()
                    total += float(loss)
                    rec.step(loss=loss)
                continue
            optimizer.zero_grad()
            loss = losses(xb, kb, tb, lb)[0]
            loss.backward()
            if variant == "clipped_rarely":
                nn.utils.clip_grad_norm_(model.parameters(), 0.8)
            optimizer.step()
            rec.step(loss=loss)
        model.eval()
        with torch.no_grad():
            scores = [(*losses(*batch)[:3],) for batch in val_loader]
        right = torch.cat([(output.argmax(-1) == label).float().flatten() for _, output, label in scores])
        rec.epoch(epoch, val_loss=float(scores[0][0]), val_accuracy=float(right.mean()))
        history.append(float(right.mean()))
    return SimpleNamespace(model=model, optimizer=optimizer, history=history, chance=0.25, x=x, vx=vx, tag=tag)


def build(variant: str) -> Any:
    torch.manual_seed(21)
    x, kind, _, _ = series(32, 1)
    model = Deep(variant)
    return model, (x, kind), nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=1e-3)


family = Family("sequences", train, build)
family.broken("rows_as_time", "batch_first forgotten: the GRU runs over the rows", "rows_mix", "step 1")
family.broken("tags_late", "tags one position late", "targets_shifted", "step 30")
family.broken("tags_rolled_rows", "tags of the neighbouring row", "targets_shifted targets_shuffled", "step 30")
family.broken("tag_term_is_number", "a term of the loss is .item()", "detached_loss detached_module", "step 1")
family.broken("tag_term_rules", "one term makes nearly all of the gradient", "term_dominates", "step 1")
family.broken("deep_sigmoid", "ten sigmoid layers", "vanishing_by_depth", "step 1", build=True)
family.broken("deep_gain", "ten layers of gain 2.4", "exploding_by_depth exploding_init", "step 1", build=True)
family.sound("clean", "the last state is unused, a head is frozen since it is unused")
family.sound("packed", "rows of different lengths")
family.sound("two_terms", "two heads, two terms")
family.sound("tag_head_on_detached", "a probe on detached features, on purpose: all parameters still learn")
family.sound("tags_both_ways", "a tagger sees later positions, on purpose")
family.sound("tags_carry_state", "the state is carried and detached")
family.sound("clipped_rarely", "clipped at 0.8")
family.sound("deep_residual", "ten residual layers", build=True)
PROGRAMS = family.programs
