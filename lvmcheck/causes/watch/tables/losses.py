"""Causes between model and loss that a check measured itself."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Standing
from lvmcheck.causes.watch._measured import Measured, preflight_run
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.checks.watch.loss_inputs import SAYS

_FREE = dict.fromkeys(SAYS, 0.0)

CAUSES: Sequence[Measured] = (
    Measured(
        cause="activation_at_the_end",
        what="The model ends in an activation that keeps its outputs from the targets.",
        checks=("loss_inputs",),
        codes=("rectified", "squashed", "out_of_reach"),
        explains=("units_alive", "nothing_learned", "predictions_constant", "gradient_reaches"),
        phrase="the activation after the last layer keeps outputs from what the loss asks for",
        fix="end the model in a linear layer, or bring the targets into the range of the activation",
        healthy={"linear": case_run("loss_input", [_FREE] * 3, ["mse_loss"])},
        shown={
            "rectified": case_run("loss_input", [{**_FREE, "rectified": 1.0}] * 3, ["cross_entropy"]),
            "squashed": case_run("loss_input", [{**_FREE, "squashed": 1.0}] * 3, ["cross_entropy"]),
            "out_of_reach": case_run("loss_input", [{**_FREE, "out_of_reach": 1.0}] * 3, ["mse_loss"]),
        },
    ),
    Measured(
        cause="initial_outputs_too_large",
        what="The first outputs are far larger than a uniform guess.",
        checks=("activations_sized",),
        explains=("loss_diverging",),
        standing=Standing.LIKELY,
        also=("gradients_scaled_by_depth", "inputs_not_normalised", "wrong_scale"),
        tell_apart="print the standard deviation of the output of each module on one batch: the fault is "
        "where it jumps",
        probes=("initial_loss", "outputs_in_range:too_large"),
        phrase="the first loss is far above that of a uniform guess: outputs begin too large",
        fix="initialise smaller, with the gain of the activation; normalise inputs; do not multiply "
        "a loss that is a mean",
        healthy={"other_probe": preflight_run("causal:future_seen")},
        shown={
            "initial_loss_above_uniform": preflight_run("initial_loss:above_uniform"),
            "outputs_in_range_too_large": preflight_run("outputs_in_range:too_large"),
        },
    ),
    Measured(
        cause="log_missing",
        what="A negative log-likelihood is given probabilities.",
        checks=("softmax_once", "loss_inputs"),
        codes=("no_log", "not_log_probabilities"),
        probes=("logit_form:not_log_probabilities",),
        phrase="nll_loss is given probabilities in place of their logs",
        fix="use log_softmax, or cross_entropy on the logits",
        healthy={
            "logits": case_run(
                "loss_form", [{"cross_entropy": 0.0, "softmax_twice": 0.1, "no_log": 0.3, "unweighted": 0.0}] * 2
            )
        },
        shown={
            "no_log": case_run(
                "loss_form", [{"cross_entropy": 0.0, "softmax_twice": 0.1, "no_log": 0.0, "unweighted": 0.3}] * 2
            )
        },
    ),
    Measured(
        cause="loss_term_detached",
        what="A term of the loss carries no gradient.",
        checks=("loss_terms_have_gradient",),
        explains=("nothing_learned", "learns_slowly", "val_loss_descends"),
        phrase="a loss term varies and has no gradient: it is a Python number, or detached",
        fix="add the term as a tensor with its graph: no float(), .item() or .detach() on what is meant to train",
        healthy={
            "healthy": case_run(
                "loss_addends", [{"addends": 2, "without_gradient": 0, "varying": 0, "share": 0.0}] * 4, ["term 2 of 2"]
            )
        },
        shown={
            "broken": case_run(
                "loss_addends", [{"addends": 2, "without_gradient": 1, "varying": 1, "share": 0.4}] * 4, ["term 2 of 2"]
            )
        },
    ),
    Measured(
        cause="outputs_collapsed",
        what="The model gives the same output for every row.",
        checks=("outputs_vary", "embeddings_apart"),
        standing=Standing.LIKELY,
        probes=("output_varies",),
        phrase="the output does not depend on the input any more",
        fix="compare the loss with that of a constant; find the first module whose outputs are equal",
        healthy={"varied": case_run("outputs", [{"spread": 0.5, "input_spread": 2.0, "rows": 32}] * 5)},
        shown={"collapsed": case_run("outputs", [{"spread": 0.0, "input_spread": 2.0, "rows": 32}] * 5)},
    ),
    Measured(
        cause="penalty_dominates",
        what="A penalty on the weights decides where they go, whatever the data say.",
        checks=("penalty_is_small",),
        explains=("nothing_learned", "learns_slowly", "beats_class_frequencies", "update_size", "outputs_vary"),
        phrase="a penalty on the weights outweighs the rest of the loss",
        fix="divide its factor by 10 until the rest of the loss falls, or use weight_decay",
        healthy={"usual": case_run("penalty", [{"cosine": 0.2}] * 6)},
        shown={"far_too_large": case_run("penalty", [{"cosine": 0.999}] * 5)},
    ),
    Measured(
        cause="similarities_too_flat",
        what="Similarities are so close to each other that softmax gives every pair the same probability.",
        checks=("similarities_spread",),
        explains=("nothing_learned", "learns_slowly", "beats_class_frequencies"),
        phrase="similarities are scaled down: softmax hardly tells them apart",
        fix="divide cosines by a temperature of 0.05 to 0.5, or multiply by its inverse; see which of them is learned",
        healthy={"scaled": case_run("similarities", [{"pairs": 1.0, "range": 12.0}] * 60)},
        shown={"divided": case_run("similarities", [{"pairs": 1.0, "range": 0.1}] * 60)},
    ),
    Measured(
        cause="targets_divided",
        what="Targets of 0 and 1 are divided by 255.",
        checks=("loss_inputs",),
        codes=("divided",),
        explains=("metric_constant", "nothing_learned", "learns_slowly"),
        phrase="targets are 0 and 1/255 in place of 0 and 1",
        fix="divide images by 255, and masks not",
        healthy={"whole": case_run("loss_input", [_FREE] * 3, ["binary_cross_entropy_with_logits"])},
        shown={"masks": case_run("loss_input", [{**_FREE, "divided": 1.0}] * 3, ["binary_cross_entropy_with_logits"])},
    ),
    Measured(
        cause="normalised_over_batch",
        what="Embeddings or probabilities are normalised over the rows of the batch in place of features or classes.",
        checks=("loss_inputs", "output_not_probabilities"),
        codes=("over_batch", "wrong_axis", "softmax_over_the_batch"),
        probes=("logit_form:wrong_axis",),
        explains=("learns_slowly", "nothing_learned", "gradient_by_depth"),
        phrase="values are normalised along another axis than that of features or classes",
        fix="F.normalize(embeddings, dim=-1); F.log_softmax(logits, dim=-1)",
        healthy={"features": case_run("loss_input", [_FREE] * 3, ["normalize"])},
        shown={"dim_0": case_run("loss_input", [{**_FREE, "over_batch": 1.0}] * 3, ["normalize"])},
    ),
    Measured(
        cause="softmax_too_many",
        what="Softmax is applied before a loss that applies it itself.",
        checks=("output_not_probabilities", "softmax_once", "loss_inputs"),
        codes=("probabilities", "softmax_twice", "sigmoid_twice"),
        probes=("logit_form:softmax_twice", "logit_form:sigmoid_twice"),
        explains=("gradient_by_depth", "gradient_norm_steady", "parameters_move", "nothing_learned", "learns_slowly"),
        phrase="cross entropy is given probabilities in place of logits",
        fix="remove the softmax before cross_entropy",
        healthy={
            "logits": case_run(
                "loss_form", [{"cross_entropy": 0.0, "softmax_twice": 0.1, "no_log": 0.3, "unweighted": 0.0}] * 2
            )
        },
        shown={
            "twice": case_run(
                "loss_form", [{"cross_entropy": 0.1, "softmax_twice": 0.0, "no_log": 0.3, "unweighted": 0.1}] * 2
            ),
            "inside": case_run(
                "output_form", [{"sum_error": 0.0, "column_error": 3.0, "lowest": 0.0, "cross_entropy": 0.0}] * 2
            ),
        },
    ),
)
