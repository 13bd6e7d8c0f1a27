"""adapters_train: adapters (LoRA and the like) move within two steps, and the weights below them do not."""

from __future__ import annotations

from fnmatch import fnmatchcase

import torch

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, passed
from lvmcheck.watch.preflight.setup import Setup, SkipProbe, differs, listed

FIXES = {
    "adapter_still": "set requires_grad=True on the adapters, and pass them to the optimizer after they were added",
    "base_moves": "freeze the base weights: requires_grad=False on everything that is no adapter",
    "no_effect": "add the adapter's output in forward(); check that its scale is not 0 and that it is switched on",
}
NAMES = (
    "*lora_*",
    "*.adapter.*",
    "*adapters.*",
    "*_adapter.*",
    "adapter.*",
    "*ia3_*",
    "*loha_*",
    "*lokr_*",
    "*prompt_encoder*",
)
WORDS = ("lora_", "adapter", "ia3_", "loha_", "lokr_")
STEPS = 2


def measure(setup: Setup) -> Outcome:
    patterns = (*NAMES, *setup.adapters)
    adapters = [name for name, _ in setup.named() if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not adapters:
        raise SkipProbe("no parameter is named like an adapter; declare adapters=")
    optimizers = setup.needs_optimizer()
    before = {name: parameter.detach().clone() for name, parameter in setup.named()}
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["lr"] = group["lr"] or 1e-3
    plain = setup.outputs()
    setup.train()
    for _ in range(STEPS):
        setup.step(setup.small, optimizers)
    moved = {name for name, parameter in setup.named() if not torch.equal(before[name], parameter.detach())}
    still = [name for name in adapters if name not in moved]
    if still:
        return failed(_finding("adapter_still", still, len(adapters), "{measured} of {of} adapter weights do not move"))
    below = bases(adapters, [name for name, _ in setup.named()])
    wrong = [name for name in below if name in moved]
    if wrong:
        return failed(_finding("base_moves", wrong, len(below), "{measured} of {of} base weights below adapters move"))
    setup.model.eval()
    if not differs(plain, setup.outputs()):
        return failed(_finding("no_effect", adapters, len(adapters), "outputs do not depend on {of} adapter weights"))
    return passed(_finding("trained", [], len(adapters), "of {of} adapter weights {measured} do not move"))


def bases(adapters: list[str], names: list[str]) -> list[str]:
    """Parameters of the modules that adapters were added to: ``q.weight`` and ``q.base_layer.weight`` for
    ``q.lora_A``, ``q.lora_A.weight`` and ``q.lora_A.default.weight``."""
    own = set(adapters)
    owners = {owner(name) for name in adapters} - {""}
    places = owners | {f"{name}.base_layer" for name in owners}
    return [name for name in names if name not in own and parent(name) in places]


def owner(name: str) -> str:
    """What stands before the first part of a name that is called like an adapter."""
    parts = name.split(".")
    first = next((i for i, part in enumerate(parts) if any(word in part for word in WORDS)), len(parts) - 1)
    return ".".join(parts[:first])


def parent(name: str) -> str:
    return name.rpartition(".")[0]


def _finding(code: str, names: list[str], total: int, phrase: str) -> Finding:
    evidence = (*listed(names), Fact("of", total))
    return Finding(code=code, measured=len(names), bounds=(equal(0),), evidence=evidence, phrase=phrase)
