"""The frame of the silent-error programs: each is an ordinary training loop, sound or with one line wrong.

Written without knowledge of the checks. ``python -m suites.gallery.silent._verify`` measures, without lvmcheck, that
each fault is there and that each sound program learns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

BEFORE = "before step 1"

MEANS: Mapping[str, str] = {
    "accumulation_unscaled": "gradients of several batches are summed without dividing the loss by their number",
    "accumulation_lost": "gradients are cleared between the batches of one step, so that only the last one counts",
    "adam_epsilon_dominates": "the epsilon of Adam is far above the root of its second moment, so that it hardly moves",
    "augmentation_frozen": "the random augmentation draws the same numbers every epoch, or the same for every batch",
    "best_aliases_last": "the best checkpoint is a reference to the live weights, so that it equals the last one",
    "broadcast_in_loss": "predictions [N, 1] meet targets [N] and the loss averages over N x N pairs",
    "clip_always": "the gradient norm is clipped at every step to a small part of what it is",
    "clip_before_unscale": "gradients are clipped while the loss scale is still in them",
    "collapsed_embeddings": "different inputs get (nearly) the same embedding",
    "constant_inputs": "every row of inputs is the same",
    "constant_targets": "every row has the same target",
    "dead_units": "a large part of the ReLU units gives 0 for every row",
    "detached_loss": "the loss, or a term of it, carries no gradient to what it should train",
    "detached_module": "a part of the model gets no gradient since its output is detached or made under no_grad",
    "dropout_in_eval": "functional dropout stays on while the model is evaluated",
    "duplicate_parameters": "a parameter is held twice by the optimizer, or by two optimizers",
    "duplicated_rows": "rows occur several times in the training set",
    "ema_never_updated": "the averaged copy that is evaluated or used as a target stays at its initial weights",
    "equal_init": "units of a layer start with the same weights and stay equal",
    "exploding_by_depth": "activations, and gradients on the way back, grow by orders of magnitude from layer to layer",
    "exploding_init": "weights start so large that outputs and the first loss are orders of magnitude too large",
    "foreign_parameters": "the optimizer holds parameters of another model, or a former copy of a part",
    "frozen_by_mistake": "a part of the model has requires_grad False without intent",
    "future_tokens_seen": "a position sees the tokens that it has to predict",
    "gradients_not_cleared": "gradients of the whole model or of a part of it pile up over steps",
    "labels_noisy": "a large part of the training labels is random",
    "low_precision_lost": "updates are smaller than the spacing of bfloat16 or float16 numbers and are rounded away",
    "metric_hard_coded": "the metric that is reported is a fixed number or of something other than this model",
    "missing_from_optimizer": "trainable parameters of the model are in no optimizer",
    "nan_in_module": "one module gives NaN or inf, hidden further on",
    "not_normalised": "inputs reach the model in raw units of very different or very large size",
    "order_never_changes": "the rows come in the same order every epoch",
    "order_sorted": "the rows come sorted by label or target",
    "probabilities_for_logits": "a softmax or sigmoid is applied before a loss that applies its own",
    "probabilities_for_log_probabilities": "nll_loss gets probabilities, without the logarithm",
    "rescaled_in_place": "the stored inputs are changed in place each time they are used",
    "rows_mix": "the output of one row depends on the other rows of its batch",
    "saturated": "most units sit on the flat part of tanh or sigmoid",
    "scheduler_never_stepped": "a scheduler was made and is never stepped",
    "scheduler_double_stepped": "the scheduler is stepped twice where once is meant",
    "softmax_wrong_axis": "the softmax normalises over the batch instead of the classes",
    "step_never": "an optimizer that should train is never stepped",
    "step_twice": "the optimizer is stepped twice for one backward pass",
    "targets_shifted": "targets belong to the neighbouring position or row",
    "targets_shuffled": "targets were permuted against the inputs",
    "targets_are_inputs": "the target of a position is the token at that position, which is an input",
    "term_dominates": "one term of the loss makes nearly all of the gradient",
    "ties_broken": "weights meant to be shared are two tensors that drift apart",
    "trains_in_eval_mode": "the model is in eval mode while it trains",
    "update_too_large": "steps change weights by a large part of their size",
    "update_too_small": "steps change weights by a vanishing part of their size",
    "validates_in_train_mode": "the model is in train mode while it is evaluated",
    "validates_on_training_rows": "validation rows are training rows, all or some of them",
    "validation_preprocessed_differently": "validation inputs are scaled by other statistics than training inputs",
    "vanishing_by_depth": "gradients shrink by orders of magnitude from the last layer to the first",
    "warmup_too_long": "the run ends while the learning rate is still at a small part of its peak",
    "weight_decay_destroys": "weight decay shrinks weights faster than the gradient grows them",
    "zero_init": "a layer starts at 0 where that blocks its own learning or that of others",
}


@dataclass(frozen=True)
class Program:
    """One training program.

    Attributes:
        name: unique.
        task: the module it is in.
        healthy: whether nothing is wrong with it.
        fault: what is wrong; of a sound program, what a naive judge might object to.
        causes: plain names of the root cause, keys of :data:`MEANS`; any of them is right.
        visible_after: when evidence exists.
        train: the program.
        build: model, batch, loss and optimizer for a pre-flight, where it has them before the first step.
        config: what its user declares.
    """

    name: str
    task: str
    healthy: bool
    fault: str
    causes: frozenset[str]
    visible_after: str
    train: Callable[[Any], Any]
    build: Callable[[], tuple[Any, Any, Any, Any]] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def means(self) -> tuple[str, ...]:
        """One sentence for each cause."""
        return tuple(MEANS[cause] for cause in sorted(self.causes))


class Family:
    """Collects the variants of one training program."""

    def __init__(self, task: str, train: Callable[..., Any], build: Callable[..., Any] | None = None) -> None:
        self.task, self.train, self.build = task, train, build
        self.programs: list[Program] = []

    def _add(self, variant: str, healthy: bool, fault: str, causes: str, after: str, build: bool, config: Any) -> None:
        missing = set(causes.split()) - set(MEANS)
        assert not missing, missing
        assert healthy == (not causes), variant
        self.programs.append(
            Program(
                name=f"{self.task}_{variant}",
                task=self.task,
                healthy=healthy,
                fault=fault,
                causes=frozenset(causes.split()),
                visible_after=after,
                train=partial(self.train, variant=variant),
                build=partial(self.build, variant) if self.build and build else None,
                config=config or {},
            )
        )

    def broken(self, variant: str, fault: str, causes: str, after: str, build: bool = False) -> None:
        """Add a variant with one fault."""
        self._add(variant, False, fault, causes, after, build, None)

    def sound(self, variant: str, looks: str, build: bool = False, config: Mapping[str, Any] | None = None) -> None:
        """Add a variant with none, and what might look wrong about it."""
        self._add(variant, True, looks, "", "", build, config)
