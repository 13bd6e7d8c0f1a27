"""What is measured of each program to say that its fault is there, or that it is sound. Nothing of lvmcheck is used."""

# ruff: noqa: ARG001, E501, PERF401, RUF007, SIM102
from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Proof = Callable[[Any, Any], tuple[bool, str]]
PROOFS: dict[str, Proof] = {}


def proof(*names: str) -> Callable[[Proof], Proof]:
    def add(function: Proof) -> Proof:
        for name in names:
            assert name not in PROOFS, name
            PROOFS[name] = function
        return function

    return add


@cache
def twin(name: str) -> Any:
    """Notes and result of a sound program."""
    from suites.gallery.silent._verify import Notes, programs

    notes = Notes()
    torch.manual_seed(0)
    return notes, next(p for p in programs() if p.name == name).train(notes)


def coverage(n: Any) -> tuple[int, int, int]:
    """Missing, doubled and foreign parameters."""
    missing = doubled = foreign = 0
    for model, optimizers in zip(n.models, n.optimizers, strict=True):
        held = [id(p) for o in optimizers for g in o.param_groups for p in g["params"]]
        own = {id(p) for p in model.parameters()}
        missing += sum(p.requires_grad and id(p) not in held for p in model.parameters())
        doubled += len(held) - len(set(held))
        foreign += len(set(held) - own)
    return missing, doubled, foreign


def moved(n: Any, prefix: str, at: int = 0) -> float:
    now = dict(n.models[at].named_parameters())
    return max(
        [float((now[k] - v).abs().max()) for k, v in n.initial[at].items() if k.startswith(prefix) and k in now]
        or [0.0]
    )


def norm(grads: dict[str, Tensor], prefix: str = "") -> float:
    found = [g.float().norm() for k, g in grads.items() if k.startswith(prefix)]
    return float(torch.stack(found).norm()) if found else 0.0


def cosine(one: dict[str, Tensor], two: dict[str, Tensor], prefix: str = "") -> float:
    keys = [k for k in one if k in two and k.startswith(prefix)]
    a, b = (torch.cat([g[k].flatten().float() for k in keys]) for g in (one, two))
    return float(F.cosine_similarity(a, b, 0))


def successive(n: Any, prefix: str = "", at: int = 0, optimizer: int = 0) -> float:
    steps = [s["grads"] for s in n.steps if s["model"] == at and s["optimizer"] == optimizer][5:]
    values = [cosine(a, b, prefix) for a, b in zip(steps, steps[1:], strict=False)]
    return float(torch.tensor(values).median())


def rows(n: Any, grad: bool) -> list[bytes]:
    return [
        row.numpy().tobytes() for f in n.forwards if f["grad"] == grad and f["input"] is not None for row in f["input"]
    ]


def same_order(n: Any, per_epoch: int) -> bool:
    seen = rows(n, True)
    return seen[:per_epoch] == seen[per_epoch : 2 * per_epoch]


@proof(
    "pictures_head_replaced_after tables_side_left_out tables_body_of_a_copy tokens_head_retied_late pairs_right_left_out "
    "pairs_table_user_left_out agents_critic_left_out agents_lora_base_in_optimizer "
    "generative_gan_maker_optimizer_mixed".replace(" ", ",")
)
def _(n: Any, r: Any) -> tuple[bool, str]:
    missing, _, foreign = coverage(n)
    return missing > 0, f"missing {missing} foreign {foreign}"


for _name in [k for k in PROOFS if "," in k]:
    for _one in _name.split(","):
        PROOFS[_one] = PROOFS[_name]
    del PROOFS[_name]


@proof("pictures_softmax_in_model")
def _(n: Any, r: Any) -> tuple[bool, str]:
    out = n.forwards[0]["output"]
    return bool((out >= 0).all() and (out.sum(1) - 1).abs().max() < 1e-5), "outputs are probabilities"


@proof("pictures_validates_in_train_mode")
def _(n: Any, r: Any) -> tuple[bool, str]:
    modes = [f["training"] for f in n.forwards if not f["grad"]]
    return all(modes), f"{sum(modes)} of {len(modes)} evaluations in train mode"


@proof("pictures_stays_in_eval")
def _(n: Any, r: Any) -> tuple[bool, str]:
    modes = [f["training"] for f in n.forwards if f["grad"] and f["after"] >= 10]
    return not any(modes), f"{len(modes)} training passes in eval mode"


@proof("pictures_order_fixed")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return same_order(n, 640), "second epoch equals the first"


@proof("pictures_sorted_by_class", "tables_sorted_by_target")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return bool((r.y.flatten().diff() >= 0).all()) and same_order(n, 640), "sorted, same order"


@proof("pictures_validates_on_training_set", "pictures_split_leaks", "pairs_validates_on_training_pairs")
def _(n: Any, r: Any) -> tuple[bool, str]:
    train, val = set(rows(n, True)), rows(n, False)
    share = sum(v in train for v in val) / len(val)
    return share > 0.45, f"share of validation rows in training {share:.2f}"


@proof("pairs_table_split_repeats")
def _(n: Any, r: Any) -> tuple[bool, str]:
    share = float(torch.isin(r.val_rows, r.rows).float().mean())
    return share > 0.45, f"share {share:.2f}"


@proof("pictures_noisy_labels")
def _(n: Any, r: Any) -> tuple[bool, str]:
    share = float((r.y != r.clean).float().mean())
    return share > 0.3, f"wrong labels {share:.2f}"


@proof("pictures_rows_repeated")
def _(n: Any, r: Any) -> tuple[bool, str]:
    unique = len({row.numpy().tobytes() for row in r.x})
    return unique == 160, f"{unique} of {len(r.x)} rows differ"


@proof("pictures_schedule_forgotten")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return r.scheduler.last_epoch == 0, "scheduler at 0"


@proof("pictures_schedule_twice")
def _(n: Any, r: Any) -> tuple[bool, str]:
    lrs = [s["lr"][0] for s in n.steps]
    return r.scheduler.last_epoch == 16 and lrs[-1] > min(lrs), f"at {r.scheduler.last_epoch} of 8, lr rises again"


@proof("pictures_validation_unnormalised")
def _(n: Any, r: Any) -> tuple[bool, str]:
    a, b = (torch.cat([f["input"] for f in n.forwards if f["grad"] == g]).std() for g in (True, False))
    return float(a / b) > 1.5, f"spread {a:.2f} in training, {b:.2f} in validation"


@proof("pictures_jitter_frozen")
def _(n: Any, r: Any) -> tuple[bool, str]:
    seen = rows(n, True)
    return len(set(seen)) == 640, f"{len(set(seen))} different of {len(seen)}"


@proof(
    "pictures_ema_forgotten", "generative_average_forgotten", "pairs_slow_forgotten", "agents_values_target_forgotten"
)
def _(n: Any, r: Any) -> tuple[bool, str]:
    slow = next(m for m in (getattr(r, k, None) for k in ("ema", "average", "slow", "target")) if m is not None)
    start = n.initial[0]
    if hasattr(r, "slow"):
        start = {k.removeprefix("left."): v for k, v in start.items() if k.startswith("left.")}
    change = max(float((p - start[k]).abs().max()) for k, p in slow.named_parameters())
    return change == 0 and moved(n, "") > 0.01, f"copy moved {change}, model {moved(n, ''):.2g}"


@proof("pictures_best_is_reference")
def _(n: Any, r: Any) -> tuple[bool, str]:
    losses = [e["val_loss"] for e in n.epochs]
    alias = all(v.data_ptr() == r.model.state_dict()[k].data_ptr() for k, v in r.best.items())
    text = f"best {min(losses):.3f}, last {losses[-1]:.3f}, after loading {n.logs[-1]['best_val_loss']:.3f}"
    return alias and min(losses) < losses[-1] - 1e-3, text


@proof("tables_body_twice")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return coverage(n)[1] > 0, f"doubled {coverage(n)[1]}"


@proof("tables_broadcasts")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return n.forwards[0]["output"].shape == (64, 1) and r.y.dim() == 1, "output [64, 1], targets [64]"


@proof("tables_targets_shuffled")
def _(n: Any, r: Any) -> tuple[bool, str]:
    equal = float((r.y == r.source_y).float().mean())
    return equal < 0.05 and torch.equal(r.y.sort(0)[0], r.source_y.sort(0)[0]), f"in place {equal:.3f}"


@proof("tables_targets_one_row_late")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return torch.equal(r.y[1:], r.source_y[:-1]), "rolled"


@proof("tables_target_constant")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return len(r.y.unique()) == 1, "one target"


@proof("tables_inputs_of_first_row")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return len(set(rows(n, True))) == 1, "one row"


@proof("tables_rescaled_in_place")
def _(n: Any, r: Any) -> tuple[bool, str]:
    ratio = float(r.x.std() / r.source_x.std())
    return ratio < 0.4, f"spread of the stored rows is {ratio:.2f} of what it was"


@proof("tables_raw_units")
def _(n: Any, r: Any) -> tuple[bool, str]:
    spread = r.x.std(0)
    return float(spread.max() / spread.min()) > 1000, f"spread {spread.min():.2g} to {spread.max():.2g}"


def fresh(variant: str) -> Any:
    from suites.gallery.silent.tables import Mlp

    torch.manual_seed(5)
    return Mlp(variant)


@proof("tables_units_die", "tables_zero_weights")
def _(n: Any, r: Any) -> tuple[bool, str]:
    model = fresh(r.model.variant)
    with torch.no_grad():
        start, end = (float((m.body(r.x).max(0).values <= 0).float().mean()) for m in (model, r.model))
    return (
        start > 0.6 and end > 0.5,
        f"dead {start:.2f} at first, {end:.2f} at the end; body moved {moved(n, 'body'):.2g}",
    )


@proof("tables_saturated")
def _(n: Any, r: Any) -> tuple[bool, str]:
    with torch.no_grad():
        share = [float((m.body[:2](r.x).abs() > 0.97).float().mean()) for m in (fresh("saturated"), r.model)]
    return min(share) > 0.6, f"saturated {share}"


@proof("tables_equal_weights")
def _(n: Any, r: Any) -> tuple[bool, str]:
    w = r.model.body[2].weight
    return float((w - w[0]).abs().max()) < 1e-4, f"units differ by {float((w - w[0]).abs().max()):.2g}"


@proof("tables_huge_weights")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return n.losses[0] > 50, f"first loss {n.losses[0]:.3g}, sound {twin('tables_clean')[0].losses[0]:.3g}"


@proof("tables_decay_destroys")
def _(n: Any, r: Any) -> tuple[bool, str]:
    def size(weights: Any) -> float:
        return float(torch.stack([v.float().norm() for v in weights]).norm())

    start, end = size(n.initial[0].values()), size(p.detach() for p in r.model.parameters())
    sound = size(p.detach() for p in twin("tables_clean")[1].model.parameters())
    return end < 0.6 * min(start, sound), f"size of weights {start:.2f} -> {end:.2f}, sound {sound:.2f}"


def ratios(n: Any, prefix: str = "") -> Tensor:
    out = []
    for a, b in zip(n.steps, n.steps[1:], strict=False):
        out += [
            float((b["weights"][k] - v).float().norm() / v.float().norm())
            for k, v in a["weights"].items()
            if k.startswith(prefix) and k.endswith("weight")
        ]
    return torch.tensor(out)


@proof("tables_rate_of_body_tiny")
def _(n: Any, r: Any) -> tuple[bool, str]:
    value = float(ratios(n, "body").median())
    return value < 1e-6, f"update ratio of the body {value:.2g}"


@proof("tables_rate_huge")
def _(n: Any, r: Any) -> tuple[bool, str]:
    value, sound = float(ratios(n)[:40].median()), float(ratios(twin("tables_clean")[0])[:40].median())
    return value > 0.1, f"update ratio {value:.2g} in the first steps, sound {sound:.2g}"


@proof("tables_epsilon_huge")
def _(n: Any, r: Any) -> tuple[bool, str]:
    roots = torch.cat([s["exp_avg_sq"].sqrt().flatten() for s in r.optimizer.state.values()])
    return float(roots.quantile(0.95)) < 0.3 / 2, f"root of v: median {roots.median():.2g}, max {roots.max():.2g}"


@proof("tables_stepped_twice")
def _(n: Any, r: Any) -> tuple[bool, str]:
    equal = cosine(n.steps[0]["grads"], n.steps[1]["grads"])
    return len(n.steps) == 2 * len(n.losses) and equal > 0.9999, f"{len(n.steps)} steps, {len(n.losses)} losses"


@proof("tables_metric_by_hand")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return len({e["val_loss"] for e in n.epochs}) == 1, "one value"


@proof("tables_dropout_always")
def _(n: Any, r: Any) -> tuple[bool, str]:
    r.model.eval()
    with torch.no_grad():
        differ = float((r.model(r.vx) - r.model(r.vx)).abs().max())
    return differ > 0.01, f"two evaluations differ by {differ:.2g}"


@proof("tables_side_is_nan")
def _(n: Any, r: Any) -> tuple[bool, str]:
    out = r.model.side(r.x[:64].sqrt()).isnan().float().mean()
    return float(out) > 0.5 and bool(n.forwards[0]["output"].isfinite().all()), f"NaN in side {out:.2f}"


@proof("tables_clipped_to_nothing")
def _(n: Any, r: Any) -> tuple[bool, str]:
    norms = torch.tensor([norm(s["grads"]) for s in n.steps])
    sound = torch.tensor([norm(s["grads"]) for s in twin("tables_plain_sgd")[0].steps])
    return bool(((norms - 0.01).abs() < 1e-4).all()), f"norm 0.01 in all steps; unclipped median {sound.median():.2g}"


@proof("tables_bfloat16_weights")
def _(n: Any, r: Any) -> tuple[bool, str]:
    def stuck(notes: Any) -> float:
        still = [
            float(((b["weights"][k] == v) & (a["grads"][k] != 0)).float().mean() / (a["grads"][k] != 0).float().mean())
            for a, b in zip(notes.steps, notes.steps[1:], strict=False)
            for k, v in a["weights"].items()
            if k.endswith("weight")
        ]
        return sum(still) / len(still)

    here, sound = stuck(n), stuck(twin("tables_plain_sgd")[0])
    return here > 0.5 > 10 * sound, f"weights that stay although they have a gradient {here:.2f}, float32 {sound:.3f}"


@proof("tables_body_detached", "tables_body_without_gradient")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return all(norm(s["grads"], "body") == 0 for s in n.steps) and moved(n, "body") == 0, "no gradient in the body"


@proof("tables_never_cleared", "tables_body_never_cleared")
def _(n: Any, r: Any) -> tuple[bool, str]:
    here, sound = successive(n, "body"), successive(twin("tables_clean")[0], "body")
    return here > sound + 0.1 and here > 0.8, f"cosine of successive gradients {here:.3f}, sound {sound:.3f}"


@proof("tables_freezes_in_validation")
def _(n: Any, r: Any) -> tuple[bool, str]:
    same = all(torch.equal(v, r.model.get_parameter(k)) for k, v in n.steps[12]["weights"].items() if k[:4] == "body")
    return same and not r.model.body[0].weight.requires_grad, "the body stands still after step 12"


@proof("tables_penalty_without_gradient")
def _(n: Any, r: Any) -> tuple[bool, str]:
    other, sound = twin("tables_clean")
    same = all(torch.equal(a, b) for a, b in zip(r.model.parameters(), sound.model.parameters(), strict=True))
    return same and n.losses[0] > other.losses[0] + 0.1, "the same weights as without the penalty, another loss"


def later_matters(model: nn.Module, held: Tensor) -> float:
    model.eval()
    tokens, other = held[:16, :-1], held[:16, :-1].clone()
    other[:, -1] = (other[:, -1] + 3) % 20
    with torch.no_grad():
        return float((model(tokens) - model(other))[:, :-1].abs().max())


@proof("tokens_no_causal_mask")
def _(n: Any, r: Any) -> tuple[bool, str]:
    here, sound = later_matters(r.model, r.held), later_matters(twin("tokens_clean")[1].model, r.held)
    return here > 0.1 and sound < 1e-4, f"a later token changes an earlier output by {here:.2g}, sound {sound:.2g}"


@proof("tokens_targets_not_shifted")
def _(n: Any, r: Any) -> tuple[bool, str]:
    same = float((r.model(r.held[:, :-1]).argmax(-1) == r.held[:, :-1]).float().mean())
    return same > 0.9, f"predicts its input in {same:.2f}"


@proof("tokens_targets_one_too_far")
def _(n: Any, r: Any) -> tuple[bool, str]:
    guess = r.model(r.held[:, :-2])
    two, one = (float(F.cross_entropy(guess.flatten(0, 1), t.flatten())) for t in (r.held[:, 2:], r.held[:, 1:-1]))
    return two < one - 0.3, f"cross entropy two ahead {two:.2f}, next {one:.2f}"


@proof("tokens_tie_is_copy")
def _(n: Any, r: Any) -> tuple[bool, str]:
    apart = float((r.model.head.weight - r.model.embedding.weight).abs().max())
    start = float((n.initial[0]["head.weight"] - n.initial[0]["embedding.weight"]).abs().max())
    return start == 0 and apart > 0.01, f"equal at first, apart {apart:.2g} at the end"


@proof("tokens_embedding_detached")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return all(norm(s["grads"], "position") == 0 for s in n.steps), "positions get no gradient"


def others_matter(model: Any, x: Tensor, first: bool) -> float:
    model.eval()
    with torch.no_grad():
        few, many = model(x[:4]), model(x[:8])
    few, many = (few[0], many[0]) if first else (few, many)
    return float((few - many[:4]).abs().max())


@proof("tokens_batch_average")
def _(n: Any, r: Any) -> tuple[bool, str]:
    value = others_matter(r.model, r.held[:, :-1], False)
    return value > 0.05, f"other rows change an output by {value:.2g}"


@proof("sequences_rows_as_time")
def _(n: Any, r: Any) -> tuple[bool, str]:
    flipped = r.x[:8].clone()
    flipped[0] += 1.0
    r.model.eval()
    with torch.no_grad():
        value = float((r.model(r.x[:8])[0] - r.model(flipped)[0])[1:].abs().max())
    return value > 0.01, f"row 0 changes outputs of others by {value:.2g}"


@proof("tokens_warmup_of_3000")
def _(n: Any, r: Any) -> tuple[bool, str]:
    last = n.steps[-1]["lr"][0]
    return last < 0.05 * 6e-3, f"last rate is {last / 6e-3:.3f} of the peak"


@proof("tokens_accumulation_unscaled")
def _(n: Any, r: Any) -> tuple[bool, str]:
    ratio = norm(n.steps[0]["grads"]) / norm(twin("tokens_clean")[0].steps[0]["grads"])
    return abs(ratio - 4) < 0.01, f"first gradient is {ratio:.3f} of that of the whole batch"


@proof("tokens_accumulation_clears")
def _(n: Any, r: Any) -> tuple[bool, str]:
    mine, whole = n.steps[0]["grads"], twin("tokens_clean")[0].steps[0]["grads"]
    sound = cosine(twin("tokens_accumulation")[0].steps[0]["grads"], whole)
    return cosine(
        mine, whole
    ) < 0.97 and sound > 0.999, f"cosine to the whole batch {cosine(mine, whole):.3f}, sound {sound:.4f}"


@proof("tokens_scaler_clips_scaled")
def _(n: Any, r: Any) -> tuple[bool, str]:
    norms = torch.tensor([norm(s["grads"]) for s in n.steps])
    sound = torch.tensor([norm(s["grads"]) for s in twin("tokens_scaler_right")[0].steps])
    text = f"norm {norms.min():.3f} to {norms.max():.3f} (1/16 = 0.0625), sound {sound.min():.2f} to {sound.max():.2f}"
    return bool(norms.max() < 0.064) and bool(sound.min() > 0.1), text


@proof("tokens_nll_without_log")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return max(n.losses) < 0, f"loss {n.losses[0]:.3f} to {n.losses[-1]:.3f}"


@proof("tokens_softmax_over_rows", "agents_student_softmax_over_batch")
def _(n: Any, r: Any) -> tuple[bool, str]:
    sound = twin("tokens_clean" if hasattr(r, "held") else "agents_student")[0]
    angle = cosine(n.steps[0]["grads"], sound.steps[0]["grads"])
    columns = n.forwards[0]["output"].shape
    other = abs(n.losses[0] - sound.losses[0]) > 0.05
    return (
        other and angle < 0.95,
        f"first loss {n.losses[0]:.3f}, sound {sound.losses[0]:.3f}; angle {angle:.2f} {columns}",
    )


@proof("tokens_softmax_before", "pairs_probabilities_first")
def _(n: Any, r: Any) -> tuple[bool, str]:
    floor = float(torch.tensor(2.718 + (32 if hasattr(r, "held") else 63)).log()) - 1
    return min(n.losses) > floor, f"never below {min(n.losses):.3f} (floor {floor:.3f})"


@proof("sequences_tags_late", "sequences_tags_rolled_rows")
def _(n: Any, r: Any) -> tuple[bool, str]:
    from suites.gallery.silent.sequences import series

    true = series(640, 1)[2]
    late = torch.equal(r.tag[:, 1:], true[:, :-1]) or torch.equal(r.tag[1:], true[:-1])
    return late, f"targets that are right {float((r.tag == true).float().mean()):.2f}"


@proof("sequences_tag_term_is_number")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return moved(n, "tag") == 0 and moved(n, "kind") > 0, "the tag head stands still"


@proof("sequences_tag_term_rules")
def _(n: Any, r: Any) -> tuple[bool, str]:
    from suites.gallery.silent.sequences import Reader, series

    torch.manual_seed(21)
    model, (x, kind, tag, _) = Reader("tag_term_rules"), series(128, 3)
    of_kind, of_tag, _ = model(x)
    weights = list(model.rnn.parameters())
    sizes = []
    for term in (0.002 * F.cross_entropy(of_kind, kind), 50 * F.cross_entropy(of_tag.flatten(0, 1), tag.flatten())):
        sizes.append(
            float(torch.stack([g.norm() for g in torch.autograd.grad(term, weights, retain_graph=True)]).norm())
        )
    return sizes[1] > 100 * sizes[0], f"gradients of the terms {sizes[0]:.2g}, {sizes[1]:.2g}"


@proof("sequences_deep_sigmoid", "sequences_deep_gain")
def _(n: Any, r: Any) -> tuple[bool, str]:
    first, last = (norm(n.steps[0]["grads"], f"layers.{k}.weight") for k in (0, 8))
    if r.model.variant == "deep_sigmoid":
        return first < 1e-4 * last, f"gradient of layer 0 {first:.2g}, of layer 8 {last:.2g}"
    from suites.gallery.silent.sequences import Deep

    torch.manual_seed(21)
    model, sizes = Deep("deep_gain"), []
    for layer in model.layers:
        layer.register_forward_hook(lambda _m, _a, out: sizes.append(float(out.std())))
    model(r.x)
    return sizes[-1] > 50 * sizes[0], f"outputs of layer 0 {sizes[0]:.2g}, of layer 8 {sizes[-1]:.2g}"


@proof("generative_divergence_detached")
def _(n: Any, r: Any) -> tuple[bool, str]:
    mine, sound = n.steps[0]["grads"], twin("generative_clean")[0].steps[0]["grads"]
    same = torch.equal(mine["decoder.0.weight"], sound["decoder.0.weight"])
    late = float(n.epochs[-1]["val_divergence"]), float(twin("generative_clean")[0].epochs[-1]["val_divergence"])
    differs = not torch.allclose(mine["encoder.0.weight"], sound["encoder.0.weight"])
    return same and differs and late[0] > 1.2 * late[
        1
    ], f"decoder as sound, encoder not; divergence {late[0]:.1f}, sound {late[1]:.1f}"


@proof("generative_divergence_rules")
def _(n: Any, r: Any) -> tuple[bool, str]:
    with torch.no_grad():
        spread = float(r.model(r.vx)[1].std(0).max())
    return spread < 0.1, f"spread of the codes {spread:.3f}"


@proof("generative_encoder_not_stepped")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return moved(n, "encoder") == 0 and moved(n, "decoder") > 0, "the encoder stands still"


@proof("generative_encoder_not_cleared")
def _(n: Any, r: Any) -> tuple[bool, str]:
    here, sound = successive(n, "encoder", 0, 1), successive(twin("generative_two_optimizers")[0], "encoder", 0, 1)
    return here > 0.8 and here > sound + 0.1, f"cosine of successive gradients {here:.3f}, sound {sound:.3f}"


@proof("generative_gan_judge_never_cleared")
def _(n: Any, r: Any) -> tuple[bool, str]:
    here, sound = successive(n, "", 1), successive(twin("generative_gan")[0], "", 1)
    return here > 0.8 and here > sound + 0.1, f"cosine of successive gradients {here:.3f}, sound {sound:.3f}"


@proof("generative_gan_judge_not_stepped")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return moved(n, "", 1) == 0 and moved(n, "", 0) > 0, "the discriminator stands still"


@proof("pairs_right_without_gradient")
def _(n: Any, r: Any) -> tuple[bool, str]:
    still = all(norm(s["grads"], "right") == 0 for s in n.steps) and r.model.right[0].weight.requires_grad
    return still and coverage(n)[0] == 0, "no gradient in a tower that is held by the optimizer"


@proof("pairs_attraction_only")
def _(n: Any, r: Any) -> tuple[bool, str]:
    here, sound = (float((k @ k.T).mean()) for k in (r.codes, twin("pairs_clean")[1].codes))
    return here > 0.9 and sound < 0.3, f"mean cosine of different rows {here:.3f}, sound {sound:.3f}"


@proof("pairs_pairs_shuffled")
def _(n: Any, r: Any) -> tuple[bool, str]:
    def fit(a: Tensor, b: Tensor) -> float:
        rest = b - a @ torch.linalg.lstsq(a, b).solution
        return 1 - float(rest.var() / b.var())

    sound = twin("pairs_clean")[1]
    here, other = fit(r.a, r.b), fit(sound.a, sound.b)
    return here < 0.1 and other > 0.5, f"view b explained by view a {here:.2f}, sound {other:.2f}"


@proof("pairs_table_both_zero")
def _(n: Any, r: Any) -> tuple[bool, str]:
    return moved(n, "user") == 0 and moved(n, "item") == 0, "both tables stay 0"


@proof("agents_log_prob_detached")
def _(n: Any, r: Any) -> tuple[bool, str]:
    here, sound = norm(n.steps[0]["grads"]), norm(twin("agents_clean")[0].steps[0]["grads"])
    return here < 0.1 * sound, f"first gradient {here:.2g}, sound {sound:.2g}; score {r.history[-1]:.2f}"


@proof("agents_critic_broadcasts")
def _(n: Any, r: Any) -> tuple[bool, str]:
    models = r.model, twin("agents_critic")[1].model
    here, sound = (float(m(torch.eye(16))[1].std()) for m in models)
    return here < 0.4 * sound, f"spread of values over states {here:.2f}, sound {sound:.2f}"


@proof("agents_value_rules")
def _(n: Any, r: Any) -> tuple[bool, str]:
    here, sound = (norm(k.steps[0]["grads"], "body") for k in (n, twin("agents_critic")[0]))
    only = norm(twin("agents_clean")[0].steps[0]["grads"], "body")
    return here > 50 * only, f"gradient of the body {here:.2g}; of the policy's term {only:.2g}; sound sum {sound:.2g}"


@proof("agents_policy_softmax_twice")
def _(n: Any, r: Any) -> tuple[bool, str]:
    most = r.model(torch.eye(16))[0].softmax(1).softmax(1).max()
    sound = twin("agents_clean")[1].model(torch.eye(16))[0].softmax(1).max()
    return float(most) < 0.48 < 0.9 < float(sound), f"largest probability of an action {most:.2f}, sound {sound:.2f}"


@proof("agents_lora_both_zero")
def _(n: Any, r: Any) -> tuple[bool, str]:
    still = max(moved(n, f"{k}.lora") for k in (0, 2))
    return still == 0 and moved(n, "4") > 0, "adapters stand still, the head does not"


@proof("agents_student_teacher_in_optimizer")
def _(n: Any, r: Any) -> tuple[bool, str]:
    far = max(float((a - b).abs().max()) for a, b in zip(r.teacher.parameters(), r.base.parameters(), strict=True))
    return coverage(n)[2] > 0 and far > 0.01, f"foreign {coverage(n)[2]}, the teacher moved {far:.2g}"


FLOORS = {"generative_gan": -0.35, "generative_gan_wasserstein": -0.35, "pairs_right_locked": 0.5, "tokens_unused_words": 0.2,
          "sequences_packed": 0.6, "tables_plain_sgd": 0.5, "tokens_accumulation": 0.5, "tokens_masked_words": 0.0}  # fmt: skip
STILL = {  # parameters that a sound program cannot move: a bias before a norm, a bias that cancels
    "pictures_fine_tune_tiny_rate": ("first.0.bias", "second.0.bias"),
    "generative_gan_wasserstein": ("2.bias",),
}


def sound(program: Any, n: Any, r: Any) -> tuple[bool, str]:
    problems = []
    missing, doubled, foreign = coverage(n)
    if missing or doubled or foreign:
        problems.append(f"missing {missing} doubled {doubled} foreign {foreign}")
    if not all(torch.isfinite(torch.tensor(n.losses))):
        problems.append("not finite")
    if any(not f["training"] for f in n.forwards if f["grad"]):
        problems.append("trains in eval mode")
    gan_or_walk = program.task in ("agents",) or "gan" in program.name
    if not gan_or_walk and any(f["training"] for f in n.forwards if not f["grad"]):
        problems.append("evaluates in train mode")
    floor = FLOORS.get(program.name, 0.65)
    if r.history[-1] < floor:
        problems.append(f"score {r.history[-1]:.3f} below {floor}")
    for at, model in enumerate(n.models):
        for name, p in model.named_parameters():
            change = float((p - n.initial[at][name]).abs().max())
            if p.requires_grad and change == 0 and name not in STILL.get(program.name, ()):
                problems.append(f"{name} stands still")
            if not p.requires_grad and change > 0 and "slow" not in program.name:
                problems.append(f"{name} moves")
    if program.name in ("tokens_clean", "tokens_bf16_autocast", "tokens_checkpointing"):
        if later_matters(copy.deepcopy(r.model), r.held) > 1e-3:
            problems.append("not causal")
    if program.task == "pictures":
        train, val = set(rows(n, True)), rows(n, False)
        if any(v in train for v in val):
            problems.append("validation rows in training")
    last = n.epochs[-1]
    text = f"score {r.history[-1]:.3f} loss {n.losses[0]:.3g}->{n.losses[-1]:.3g} { ({k: round(v, 3) for k, v in last.items()}) }"
    return not problems, "; ".join(problems) + "  " + text if problems else text


def judge(program: Any, n: Any, r: Any) -> tuple[bool, str]:
    if program.healthy:
        return sound(program, n, r)
    if program.name not in PROOFS:
        return False, "no proof"
    return PROOFS[program.name](n, r)
