"""Broken programs: name -> (probe, code, arguments of ``lvmcheck.preflight``). Each has one fault."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from suites.preflight import healthy
from suites.preflight.healthy import Program, adam, labelled, small_net

BROKEN: dict[str, tuple[str, str, Program]] = {}


def broken(probe: str, code: str) -> Any:
    """Register a program with the probe that must fail, and the code of its finding."""

    def register(program: Program) -> Program:
        BROKEN[program.__name__] = (probe, code, program)
        return program

    return register


def program(
    model: nn.Module, loss: Any = functional.cross_entropy, batch: Any = None, **options: Any
) -> dict[str, Any]:
    """A classifier's arguments, unless said otherwise."""
    batch = labelled() if batch is None else batch
    return {"model": model, "batch": batch, "loss": loss, "optimizer": adam(model), **options}


class Net(nn.Module):
    """Two layers and a head; subclasses break `forward`."""

    def __init__(self, outputs: int = 4) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(10, 32), nn.Linear(32, 32), nn.Linear(32, outputs)

    def hidden(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(functional.gelu(self.first(x)))
        return functional.gelu(out)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.hidden(x))
        return out


# -- outputs -----------------------------------------------------------------------------------------------------------
@broken("outputs_in_range", "target_out_of_range")
def sigmoid_on_targets_beyond_one() -> dict[str, Any]:
    model = nn.Sequential(small_net(10, 1), nn.Sigmoid())
    return program(model, functional.mse_loss, (torch.randn(24, 10), 3 * torch.randn(24, 1)))


@broken("outputs_in_range", "not_finite")
def log_of_negative_numbers() -> dict[str, Any]:
    class Log(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).log()

    return program(Log())


@broken("output_varies", "spread")
def zero_initialised() -> dict[str, Any]:
    model = small_net()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return program(model)


@broken("eval_deterministic", "functional_dropout")
def functional_dropout_in_eval() -> dict[str, Any]:
    class Drops(Net):
        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(functional.dropout(self.hidden(x), 0.3))
            return out

    return program(Drops())


@broken("eval_deterministic", "functional_dropout")
def attention_dropout_in_eval() -> dict[str, Any]:
    class Attends(Net):
        def forward(self, x: Tensor) -> Tensor:
            h = self.hidden(x).view(len(x), 4, 8)
            out: Tensor = self.head(functional.scaled_dot_product_attention(h, h, h, dropout_p=0.5).flatten(1))
            return out

    return program(Attends())


@broken("eval_deterministic", "state_carried")
def state_carried_over_calls() -> dict[str, Any]:
    class Carries(Net):
        former: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            h = self.hidden(x)
            carried = h if self.former is None or len(self.former) != len(h) else h + 0.5 * self.former
            self.former = carried.detach()
            out: Tensor = self.head(carried)
            return out

    return program(Carries())


@broken("eval_deterministic", "buffers_change")
def buffer_changes_in_eval() -> dict[str, Any]:
    class Counts(Net):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.seen += 1
            return super().forward(x)

    return program(Counts())


@broken("batch_unchanged", "changed")
def input_rescaled_in_place() -> dict[str, Any]:
    class Rescales(Net):
        def forward(self, x: Tensor) -> Tensor:
            x /= 255
            return super().forward(x)

    return program(Rescales())


# -- loss --------------------------------------------------------------------------------------------------------------
@broken("initial_loss", "above_uniform")
def head_initialised_too_large() -> dict[str, Any]:
    model = small_net()
    nn.init.normal_(model[2].weight, std=10.0)  # type: ignore[arg-type]
    return program(model)


@broken("loss_depends_on_model", "detached")
def loss_detached() -> dict[str, Any]:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output.detach(), target)

    return program(small_net(), loss)


@broken("loss_depends_on_model", "target_ignored")
def target_not_used() -> dict[str, Any]:
    def loss(output: Tensor, target: Tensor) -> Tensor:  # noqa: ARG001
        return functional.cross_entropy(output, output.argmax(-1))

    return program(small_net(), loss)


@broken("logit_form", "softmax_twice")
def softmax_twice() -> dict[str, Any]:
    return program(nn.Sequential(small_net(), nn.Softmax(-1)))


@broken("logit_form", "wrong_axis")
def softmax_over_the_batch() -> dict[str, Any]:
    return program(nn.Sequential(small_net(), nn.LogSoftmax(0)), functional.nll_loss)


@broken("logit_form", "not_log_probabilities")
def probabilities_into_nll() -> dict[str, Any]:
    return program(nn.Sequential(small_net(), nn.Softmax(-1)), functional.nll_loss)


@broken("logit_form", "sigmoid_twice")
def sigmoid_twice() -> dict[str, Any]:
    model = nn.Sequential(small_net(10, 1), nn.Sigmoid())
    batch = (torch.randn(24, 10), (torch.arange(24) % 2).float()[:, None])
    return program(model, functional.binary_cross_entropy_with_logits, batch)


@broken("loss_broadcasts", "broadcast")
def column_against_row() -> dict[str, Any]:
    return program(small_net(10, 1), functional.mse_loss, (torch.randn(24, 10), torch.randn(24)))


@broken("loss_broadcasts", "broadcast")
def column_minus_row_by_hand() -> dict[str, Any]:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        return (output - target).square().mean()

    return program(small_net(10, 1), loss, (torch.randn(24, 10), torch.randn(24)))


@broken("reduction_scale", "summed")
def loss_summed() -> dict[str, Any]:
    return program(small_net(), nn.CrossEntropyLoss(reduction="sum"))


@broken("accumulation_scale", "scaled")
def divided_by_a_fixed_batch_size() -> dict[str, Any]:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output, target, reduction="sum") / 24

    return program(small_net(), loss)


# -- optimizer and gradients -------------------------------------------------------------------------------------------
@broken("optimizer_coverage", "missing")
def head_not_in_the_optimizer() -> dict[str, Any]:
    model = Net()
    optimizer = torch.optim.Adam([*model.first.parameters(), *model.second.parameters()])
    return program(model, optimizer=optimizer)


@broken("optimizer_coverage", "foreign")
def optimizer_of_another_model() -> dict[str, Any]:
    model, other = Net(), nn.Linear(3, 7)
    return program(model, optimizer=torch.optim.Adam([*model.parameters(), *other.parameters()]))


@broken("optimizer_coverage", "replaced")
def head_replaced_after_the_optimizer() -> dict[str, Any]:
    model = Net()
    optimizer = adam(model)
    model.head = nn.Linear(32, 4)
    return program(model, optimizer=optimizer)


@broken("optimizer_coverage", "twice")
def layer_in_two_optimizers() -> dict[str, Any]:
    model = Net()
    return program(model, optimizer=[adam(model), torch.optim.SGD(model.head.parameters(), lr=0.1)])


@broken("gradients", "no_gradient")
def body_under_no_grad() -> dict[str, Any]:
    class Cut(Net):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                h = self.hidden(x)
            out: Tensor = self.head(h)
            return out

    return program(Cut())


@broken("gradients", "zero_gradient")
def dead_units() -> dict[str, Any]:
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))
    nn.init.constant_(model[0].bias, -100.0)  # type: ignore[arg-type]
    return program(model)


@broken("gradients", "not_finite")
def norm_of_zero() -> dict[str, Any]:
    class Norm(Net):
        def forward(self, x: Tensor) -> Tensor:
            h = self.hidden(x)
            out: Tensor = (
                self.head(h) + (h - h).norm(dim=1, keepdim=True) + (h * 0).square().sum(1, keepdim=True).sqrt()
            )
            return out

    return program(Norm())


@broken("parameters_move", "lr_zero")
def learning_rate_zero() -> dict[str, Any]:
    model = Net()
    return program(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.0))


@broken("parameters_move", "not_moved")
def updates_lost_in_bfloat16() -> dict[str, Any]:
    model = Net()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    model = model.bfloat16()
    x, y = labelled()
    return program(model, batch=(x.bfloat16(), y), optimizer=torch.optim.Adam(model.parameters(), lr=1e-5))


@broken("parameters_move", "frozen_moves")
def declared_frozen_and_in_the_optimizer() -> dict[str, Any]:
    return program(Net(), frozen=["first.*"])


# -- inputs ------------------------------------------------------------------------------------------------------------
class TwoInputs(nn.Module):
    def __init__(self, used: bool) -> None:
        super().__init__()
        self.one, self.two, self.head, self.used = nn.Linear(10, 16), nn.Linear(3, 16), nn.Linear(16, 4), used

    def forward(self, x: Tensor, side: Tensor) -> Tensor:
        extra = self.two(side) if self.used else self.two(torch.ones_like(side))
        out: Tensor = self.head((self.one(x) + extra).tanh())
        return out


def two_inputs(used: bool = True) -> dict[str, Any]:
    x, y = labelled()
    return program(TwoInputs(used), batch=(x, torch.randn(24, 3), y))


@broken("inputs_matter", "tensor_ignored")
def side_input_not_used() -> dict[str, Any]:
    return two_inputs(used=False)


@broken("inputs_matter", "features_ignored")
def last_features_cut_off() -> dict[str, Any]:
    class Cuts(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x * torch.tensor([1.0] * 8 + [0.0] * 2))

    return program(Cuts())


class Pooled(nn.Module):
    """Token classifier with a mask: mean over real positions."""

    def __init__(self, *, pool: str = "masked", attend: bool = True) -> None:
        super().__init__()
        self.embedding, self.head, self.pool, self.attend = nn.Embedding(24, 16), nn.Linear(16, 4), pool, attend
        self.block = healthy.Block(16, causal=False)

    def forward(self, tokens: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.block(self.embedding(tokens), attention_mask if self.attend else None)
        real = attention_mask[..., None].float() if self.pool == "masked" else torch.ones_like(x[..., :1])
        out: Tensor = self.head((x * real).sum(1) / real.sum(1))
        return out


def pooled(**options: Any) -> dict[str, Any]:
    lengths = torch.arange(16) % 6 + 5
    mask = (torch.arange(10) < lengths[:, None]).long()
    batch = {"tokens": torch.randint(1, 24, (16, 10)) * mask, "attention_mask": mask, "labels": torch.arange(16) % 4}
    return program(Pooled(**options), batch=batch)


@broken("mask_matters", "mask_ignored")
def mask_not_used() -> dict[str, Any]:
    return pooled(pool="all", attend=False)


@broken("padding_ignored", "padding_seen")
def padding_pooled() -> dict[str, Any]:
    return pooled(pool="all")


@broken("rows_independent", "other_rows_seen")
def normalised_over_the_batch() -> dict[str, Any]:
    class Normalised(Net):
        def forward(self, x: Tensor) -> Tensor:
            out = super().forward(x)
            return (out - out.mean(0)) / out.std(0)

    return program(Normalised())


@broken("causal", "future_seen")
def no_causal_mask() -> dict[str, Any]:
    return healthy.language(causal=False)


@broken("target_shift", "shift")
def asked_for_its_input() -> dict[str, Any]:
    arguments = healthy.language()
    arguments["batch"] = (arguments["batch"][0], arguments["batch"][0])
    return arguments


@broken("target_shift", "shift")
def shifted_twice() -> dict[str, Any]:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        return healthy.next_token(output[:, :-1], target[:, 1:])

    return {**healthy.language(), "loss": loss}


# -- training and checkpoints ------------------------------------------------------------------------------------------
@broken("overfit_batch", "not_learned")
def equal_inputs_with_other_targets() -> dict[str, Any]:
    return program(small_net(), batch=(torch.ones(24, 10), torch.arange(24) % 4))


@broken("tied_weights", "equal_but_not_tied")
def untied_by_a_copy() -> dict[str, Any]:
    arguments = healthy.language(tie=False)
    model = arguments["model"]
    model.head.weight.data = model.embedding.weight.data.clone()
    return {**arguments, "optimizer": adam(model)}


@broken("tied_weights", "untied")
def untied_by_loading() -> dict[str, Any]:
    class Unties(healthy.Language):
        def load_state_dict(self, state: Any, *args: Any, **kwargs: Any) -> Any:
            self.head.weight = nn.Parameter(self.head.weight.detach().clone())
            return super().load_state_dict(state, *args, **kwargs)

    model = Unties()
    return {**healthy.language(), "model": model, "optimizer": adam(model)}


@broken("checkpoint_round_trip", "not_restored")
def head_left_out_of_the_state() -> dict[str, Any]:
    class Forgets(Net):
        def state_dict(self, *args: Any, **kwargs: Any) -> Any:
            state = super().state_dict(*args, **kwargs)
            return {name: tensor for name, tensor in state.items() if "head" not in name}

        def load_state_dict(self, state: Any, strict: bool = True, assign: bool = False) -> Any:  # noqa: ARG002
            return super().load_state_dict(state, strict=False)

    return program(Forgets())


@broken("resume_equal", "jumps")
def running_mean_as_an_attribute() -> dict[str, Any]:
    class Normalises(Net):
        def __init__(self) -> None:
            super().__init__()
            self.mean = torch.zeros(10)

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach() + 0.01
            return super().forward(x - self.mean)

    return program(Normalises())


@broken("batch_of_one", "statistics_of_one")
def batch_norm_of_one_row() -> dict[str, Any]:
    return healthy.classifier(rows=1)


# -- fine-tuning -------------------------------------------------------------------------------------------------------
END = 2


def tuned(labels: str = "answers", rows: int = 6) -> dict[str, Any]:
    """Prompts of 4 tokens, answers of 3 to 5, an end token, padding; the labels are those of the input."""
    lengths = torch.arange(rows) % 3 + 8
    where = torch.arange(12)
    tokens = torch.randint(3, healthy.VOCABULARY, (rows, 12))
    tokens[where == lengths[:, None] - 1] = END
    mask = (where < lengths[:, None]).long()
    tokens = tokens * mask
    learned = {
        "answers": (where >= 4) & (mask == 1),
        "none": torch.zeros(rows, 12, dtype=torch.bool),
        "padding": (where >= 4).expand(rows, 12),
        "no_end": (where >= 4) & (mask == 1) & (tokens != END),
    }[labels]
    batch = {"tokens": tokens, "attention_mask": mask, "labels": tokens.where(learned, -100)}

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        output = model(batch["tokens"], batch["attention_mask"])
        return healthy.next_token(output[:, :-1], batch["labels"][:, 1:])

    return program(healthy.Language(), loss, batch)


@broken("label_mask", "all_ignored")
def all_labels_ignored() -> dict[str, Any]:
    return tuned("none")


@broken("label_mask", "padding_learned")
def padding_learned() -> dict[str, Any]:
    return tuned("padding")


@broken("label_mask", "end_token_ignored")
def end_token_never_learned() -> dict[str, Any]:
    return tuned("no_end")


@broken("adapters_train", "base_moves")
def base_not_frozen() -> dict[str, Any]:
    return healthy.lora(freeze=False)


@broken("adapters_train", "adapter_still")
def adapters_not_in_the_optimizer() -> dict[str, Any]:
    model = healthy.Lora()
    return program(model, optimizer=torch.optim.Adam(model.head.parameters()))


@broken("adapters_train", "no_effect")
def adapters_switched_off() -> dict[str, Any]:
    model = healthy.Lora(scale=0.0)
    model.head.requires_grad_(False)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], weight_decay=0.1)
    for layer in (model.first, model.second):
        nn.init.normal_(layer.lora_B)
    return program(model, optimizer=optimizer)


TWINS: dict[str, Program] = {"two_inputs": two_inputs, "pooled": pooled, "tuned": tuned, "net": lambda: program(Net())}
"""Healthy programs beside the broken ones that need more than the ten."""
