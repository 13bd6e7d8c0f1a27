"""Causes in the model that a check measured itself."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.watch._measured import Measured, preflight_run
from lvmcheck.checks.watch._watched import case_run

_EVALUATION = {"forwards": 4.0, "in_train_mode": 0.0, "modal": 0.0, "statistics_changed": 0.0, "declared": 1.0}

CAUSES: Sequence[Measured] = (
    Measured(
        cause="begins_at_zero",
        what="Weights that are initialised with zeros block each other, or a layer.",
        checks=("gradient_reaches",),
        codes=("all_zero",),
        explains=("nothing_learned", "learns_slowly", "val_loss_descends"),
        phrase="weights are exactly zero, and so is their gradient: they never change",
        fix="initialise only one factor of a product with zeros, and no hidden layer",
        healthy={
            "healthy": case_run("gradient_reach", [{"parameters": 4.0, "none": 0.0, "zero": 0.0}] * 3, ["a", "b"])
        },
        shown={
            "broken": case_run(
                "gradient_reach", [{"parameters": 4.0, "none": 0.0, "zero": 2.0, "empty": 2.0}] * 3, ["a", "b"]
            )
        },
    ),
    Measured(
        cause="best_aliases_last",
        what="The best checkpoint is a reference to the live weights.",
        checks=("checkpoint_is_copy",),
        explains=("evaluated_weights_are_saved",),
        phrase="the best checkpoint is a reference to the live weights, not a copy",
        fix="best = copy.deepcopy(model.state_dict())",
        healthy={"healthy": case_run("loaded", [{"tensors": 10.0, "aliased": 0.0}])},
        shown={
            "a_reference": case_run("loaded", [{"tensors": 10.0, "aliased": 10.0}]),
            "most": case_run("loaded", [{"tensors": 10.0, "aliased": 9.0}]),
        },
    ),
    Measured(
        cause="copy_never_updated",
        what="An EMA or target copy of the model is never updated, too slowly, or without its buffers.",
        checks=("ema_follows",),
        explains=("nothing_learned", "learns_slowly", "val_loss_descends", "metric_constant"),
        phrase="the EMA or target copy of {of} does not follow what is trained",
        fix="update the copy after the optimizer step, buffers too: load_state_dict, or lerp_ of each parameter with a "
        "decay that fits the length of the run",
        healthy={
            "healthy": case_run("copy", [{"steps": 300, "calls": 300, "unchanged": 0.0, "same_inputs": 0.0}], ["left"])
        },
        shown={
            "broken": case_run("copy", [{"steps": 300, "calls": 300, "unchanged": 1.0, "same_inputs": 0.0}], ["left"])
        },
    ),
    Measured(
        cause="norm_statistics_initial",
        what="Running statistics of batch norm are still those of the beginning when the model is evaluated.",
        checks=("norm_statistics_settle",),
        explains=("loss_diverging", "memorises", "overfits", "train_val_ratio", "first_epoch_agrees"),
        also=("validation_differs",),
        tell_apart="evaluate once with the norms in train mode: if the loss becomes that of training it is they",
        phrase="in eval mode {norm} uses running statistics that are still those of the beginning",
        fix="use the default momentum of 0.1; another library's 0.999 is 0.001 in PyTorch",
        healthy={"settled": case_run("norm_statistics", [{"left": 1e-9, "batches": 200.0}], ["bn"])},
        shown={"momentum": case_run("norm_statistics", [{"left": 0.82, "batches": 200.0}], ["bn"])},
    ),
    Measured(
        cause="dropout_in_eval",
        after=("parameters_not_optimized",),
        what="Dropout stays on in evaluation.",
        checks=("evaluation_draws_nothing",),
        probes=("eval_deterministic:functional_dropout",),
        phrase="dropout stays on in eval mode",
        fix="use nn.Dropout, or pass training=self.training to the functional form",
        healthy={"other_probe": preflight_run("causal:future_seen")},
        shown={
            "in_the_loop": case_run("evaluation_dropout", [{"dropouts": 1.0}]),
            "eval_deterministic_functional_dropout": preflight_run("eval_deterministic:functional_dropout"),
        },
    ),
    Measured(
        cause="eval_missing",
        what="The model is evaluated in train mode.",
        checks=("evaluates_in_eval_mode", "evaluation_changes_nothing"),
        phrase="the evaluation runs in train mode",
        fix="call model.eval() before the evaluation and model.train() after it",
        healthy={"eval": case_run("evaluation", [_EVALUATION])},
        shown={
            "train_mode": case_run("evaluation", [{**_EVALUATION, "in_train_mode": 4, "modal": 1}], ["dropout"]),
            "norm_alone": case_run("evaluation", [{**_EVALUATION, "statistics_changed": 4}]),
        },
    ),
    Measured(
        cause="frozen_on_the_way",
        what="Parameters were frozen after training began.",
        checks=("stays_trainable",),
        explains=("gradient_reaches",),
        phrase="requires_grad was set to False after training began",
        fix="set requires_grad before the optimizer is made, or undo it after the pass it was meant for",
        healthy={"trainable": case_run("freezing", [{"trainable": 4, "frozen_since": 0}])},
        shown={"frozen": case_run("freezing", [{"trainable": 2, "frozen_since": 2}], ["head.weight"])},
    ),
    Measured(
        cause="rescaled_in_place",
        what="The stored inputs are modified each time they are used.",
        checks=("rows_kept",),
        explains=("loss_diverging", "nothing_learned", "overfits", "memorises", "validation_in_scale"),
        phrase="the stored inputs are modified in place, again in every epoch",
        fix="make a copy: x = (x - mean) / std, and no sub_, div_ or *= on rows of the data set",
        healthy={"healthy": case_run("rows_kept", [{"changed": 0.0, "alike": 1.0, "rows": 64.0}] * 3)},
        shown={
            "in_place": case_run("rows_kept", [{"changed": 1.0, "alike": 1.0, "rows": 64.0}] * 3),
            "most_of_them": case_run("rows_kept", [{"changed": 0.9, "alike": 0.999, "rows": 64.0}] * 3),
        },
    ),
    Measured(
        cause="ties_broken",
        what="Weights that should be tied are not.",
        checks=("weights_stay_tied",),
        probes=("tied_weights",),
        phrase="weights that should be one parameter are two",
        fix="assign the parameter itself (head.weight = embedding.weight), after everything that replaces parameters",
        healthy={"tied": case_run("ties", [{"tied": 1, "untied": 0, "copied": 0}])},
        shown={
            "copied": case_run("ties", [{"tied": 0, "untied": 0, "copied": 1}], ["head.weight"]),
            "parted": case_run("ties", [{"tied": 1, "untied": 1, "copied": 0}], ["embed.weight"]),
        },
    ),
    Measured(
        cause="train_missing",
        what="The model trains in eval mode.",
        checks=("trains_in_train_mode",),
        phrase="the model trains in eval mode",
        fix="call model.train() at the start of every epoch",
        healthy={"train": case_run("train_mode", [{"in_train_mode": 1, "forwards": 1, "modal": 2}] * 3)},
        shown={"eval": case_run("train_mode", [{"in_train_mode": 0, "forwards": 1, "modal": 2}] * 3, ["dropout"])},
    ),
    Measured(
        cause="units_equal",
        what="Units of a layer started equal and stay equal.",
        checks=("units_differ",),
        explains=("nothing_learned", "learns_slowly", "val_loss_descends", "outputs_vary"),
        phrase="all units of {weight} have the same weights, and get the same gradient",
        fix="draw the weights of the layer at random instead of filling it with one value",
        healthy={"healthy": case_run("unit_spread", [{"lowest": 0.9, "layers": 2}] * 3, ["0.weight"])},
        shown={"broken": case_run("unit_spread", [{"lowest": 0.0, "layers": 2}] * 3, ["0.weight"])},
    ),
    Measured(
        cause="units_saturated",
        what="Units of tanh or sigmoid lie at the end of their range.",
        checks=("units_unsaturated",),
        phrase="activations are saturated",
        fix="normalise the inputs, make the weights smaller, or put a norm before the activation",
        healthy={"inside": case_run("saturation", [{"highest": 0.1, "modules": 2}] * 5, ["1"])},
        shown={"outside": case_run("saturation", [{"highest": 0.9, "modules": 2}] * 5, ["1"])},
    ),
)
