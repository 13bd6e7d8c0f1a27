"""Causes in the optimizer's step that a check measured itself."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Standing
from lvmcheck.causes.watch._measured import KILLERS, Measured
from lvmcheck.checks.watch._watched import case_run

_SCHEDULE = {"scheduler_steps": 2.0, "optimizer_steps": 40.0, "epochs": 2.0, "share_of_rate": 0.9, "over": 0.0}
_STEPS = {"steps": 1.0, "without_backward": 0.0, "recorded": 1.0, "forwards": 1.0, "backwards": 1.0}

CAUSES: Sequence[Measured] = (
    Measured(
        cause="clipped_always",
        what="Gradient clipping decides the size of every step.",
        checks=("clipping_acts_sometimes", "clipping_leaves_gradient"),
        after=(*KILLERS, "updates_out_of_range", "units_saturated"),
        codes=("always_clipped", "clipped_to_nothing"),
        phrase="max_norm of gradient clipping is below every gradient norm",
        fix="set max_norm to a few times the median gradient norm",
        healthy={"unclipped": case_run("gradient_norm", [{"norm": 1.0}, {"norm": 0.5}] * 20)},
        shown={"always": case_run("gradient_norm", [{"norm": 0.01}] * 20)},
    ),
    Measured(
        cause="clipped_before_unscale",
        what="Gradients are clipped while they are still scaled.",
        checks=("clipping_acts_sometimes",),
        codes=("clipped_before_unscale",),
        phrase="gradients are clipped before the scaler has unscaled them",
        fix="call scaler.unscale_(optimizer) before clip_grad_norm_",
        healthy={
            "unclipped": case_run("gradient_norm", [{"norm": 1.0}, {"norm": 0.5}] * 20),
            "bound_far_too_low": case_run("gradient_norm", [{"norm": 0.00099999}] * 20),
        },
        shown={"scaled": case_run("gradient_norm", [{"norm": 1 / 65536}] * 20)},
    ),
    Measured(
        cause="gradients_leap",
        what="The gradient norm spikes.",
        checks=("gradient_norm_steady",),
        standing=Standing.CONSISTENT,
        also=("updates_out_of_range",),
        tell_apart="train with a tenth of the learning rate: spikes that remain come from single rows",
        phrase="the gradient norm spikes again and again",
        fix="clip the gradient norm, lower the learning rate, and look at the rows of those steps",
        healthy={"steady": case_run("gradient_norm", [{"norm": 1.0}] * 12 + [{"norm": 0.5}] * 12)},
        shown={"leaps": case_run("gradient_norm", [{"norm": 1.0}] * 16 + [{"norm": 90.0}, {"norm": 0.5}] * 3)},
    ),
    Measured(
        cause="optimizer_of_former_model",
        what="The optimizer holds parameters of another model, of the same shapes as those of this one that it lacks.",
        checks=("optimizer_holds_this_model",),
        explains=("missing_from_optimizer",),
        probes=("optimizer_coverage:foreign", "optimizer_coverage:replaced"),
        phrase="the optimizer holds parameters of another model (or of this one before it was rebuilt) "
        "instead of this one's",
        fix="make the optimizer last, from the parameters of the model that is trained",
        healthy={"own": case_run("foreign", [{"foreign": 0, "missing": 0, "replaced": 0}])},
        shown={"replaced": case_run("foreign", [{"foreign": 2, "missing": 2, "replaced": 2}])},
    ),
    Measured(
        cause="parameters_not_optimized",
        what="Trainable parameters are in no optimizer.",
        checks=("missing_from_optimizer", "loss_parameters_optimized"),
        explains=("parameters_move", "nothing_learned", "learns_slowly"),
        probes=("optimizer_coverage:missing",),
        phrase="trainable parameters are in no optimizer",
        fix="make the optimizer after the model is complete, or call optimizer.add_param_group",
        healthy={"all_held": case_run("coverage", [{"trainable": 4, "missing": 0}])},
        shown={
            "forgotten_head": case_run("coverage", [{"trainable": 4, "missing": 2}], ["head.weight", "head.bias"]),
            "second_tower": case_run("loss_parameters", [{"outside": 2}] * 3, ["Tower.0.weight", "Tower.0.bias"]),
        },
    ),
    Measured(
        cause="optimizer_made_in_loop",
        what="The optimizer is made anew, and the scheduler goes on with the former one.",
        checks=("scheduler_drives_optimizer",),
        explains=("schedule_shape", "scheduler_steps", "learns_slowly"),
        phrase="the optimizer was made anew, and the scheduler changes the rate of the former one",
        fix="make optimizer and scheduler once, before the loop over epochs",
        healthy={"phases": case_run("stale_scheduler", [{"steps": 0, "replaced": 2}] * 2)},
        shown={"in_the_loop": case_run("stale_scheduler", [{"steps": 1, "replaced": 2}] * 2)},
    ),
    Measured(
        cause="weights_loaded_in_loop",
        what="Weights go back to their former values at the beginning of each epoch.",
        checks=("weights_go_on",),
        explains=("epoch_pattern", "learns_slowly", "learning_kept", "ema_follows", "nothing_learned"),
        phrase="weights go back to what they were at the beginning of the epoch before, epoch after epoch",
        fix="look for load_state_dict inside of the loop over epochs: load weights once, before the first epoch",
        healthy={"go_on": case_run("weights_back", [{"moved": 2, "back": 0}] * 3)},
        shown={"loaded": case_run("weights_back", [{"moved": 2, "back": 1}] * 4, ["body"])},
    ),
    Measured(
        cause="parameters_updated_twice",
        what="Parameters are in the optimizer more than once.",
        checks=("parameters_held_once",),
        probes=("optimizer_coverage:twice",),
        phrase="parameters are updated more than once in a step",
        fix="make the groups disjoint",
        healthy={"once": case_run("held_twice", [{"held": 4, "twice": 0}])},
        shown={"overlap": case_run("held_twice", [{"held": 4, "twice": 1}], ["head.weight"])},
    ),
    Measured(
        cause="scheduler_at_wrong_pace",
        what="The scheduler is never stepped, or not at the pace it was made for.",
        checks=("scheduler_steps",),
        codes=("never_stepped", "stepped_per_batch", "stepped_per_epoch", "stepped_twice"),
        phrase="the scheduler is not stepped at the pace it was made for",
        fix="call scheduler.step() once for each unit that T_max or total_steps counts",
        healthy={"paced": case_run("schedule", [_SCHEDULE])},
        shown={
            "never": case_run("schedule", [{**_SCHEDULE, "scheduler_steps": 0}]),
            "per_batch": case_run("schedule", [{**_SCHEDULE, "scheduler_steps": 40, "horizon": 12}]),
        },
    ),
    Measured(
        cause="step_missing",
        what="The optimizer is never stepped.",
        checks=("steps_are_taken",),
        phrase="the watched optimizer is never stepped",
        fix="call optimizer.step() after backward, of the optimizer that holds this model",
        healthy={"stepped": case_run("step_calls", [_STEPS])},
        shown={"never": case_run("step_calls", [{**_STEPS, "steps": 0, "recorded": 31}])},
    ),
    Measured(
        cause="step_repeated",
        what="The optimizer steps twice for one backward pass.",
        checks=("one_step_per_backward",),
        phrase="the optimizer steps twice on the same gradients",
        fix="call step once per backward pass; remove the second call (a callback, scaler.step and optimizer.step)",
        healthy={"once": case_run("step_calls", [_STEPS])},
        shown={"twice": case_run("step_calls", [{**_STEPS, "steps": 6, "without_backward": 3}])},
    ),
    Measured(
        cause="weight_decay_destroys",
        what="Weight decay shrinks weights faster than they learn.",
        checks=("weight_decay_small",),
        explains=(
            "nothing_learned",
            "learns_slowly",
            "val_loss_descends",
            "weights_keep_size",
            "update_size",
            "units_alive",
            "outputs_vary",
            "gradient_by_depth",
            "loss_diverging",
        ),
        phrase="weight decay is too strong: it takes a large share of the weights in each step, or outweighs the loss",
        fix="lower weight_decay until lr * weight_decay is between 1e-6 and 1e-4; with Adam use AdamW",
        healthy={"healthy": case_run("decay", [{"per_step": 1e-5}] * 12, ())},
        shown={"broken": case_run("decay", [{"per_step": 0.045}] * 12, ())},
    ),
)
