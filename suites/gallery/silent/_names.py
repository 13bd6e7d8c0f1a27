"""The author's plain names of causes beside the names of lvmcheck.

Written before the set was judged, from the one-line meanings on both sides: a name is right where it says the same
root cause, not where it says an effect of it. An author's cause without a name of ours stays empty and counts as wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

SAME: Mapping[str, str] = {
    "accumulation_unscaled": "wrong_scale",
    "accumulation_lost": "zero_grad_before_step",
    "adam_epsilon_dominates": "updates_out_of_range",
    "augmentation_frozen": "augmentation_frozen",
    "best_aliases_last": "best_aliases_last",
    "broadcast_in_loss": "targets_broadcast",
    "clip_always": "clipped_always",
    "clip_before_unscale": "clipped_before_unscale",
    "collapsed_embeddings": "outputs_collapsed collapsed_representation",
    "constant_inputs": "inputs_not_normalised",
    "constant_targets": "constant_targets",
    "dead_units": "units_dead",
    "detached_loss": "graph_cut loss_term_detached",
    "detached_module": "graph_cut",
    "dropout_in_eval": "dropout_in_eval",
    "duplicate_parameters": "parameters_updated_twice",
    "duplicated_rows": "duplicated_rows",
    "ema_never_updated": "weights_never_move copy_never_updated",
    "equal_init": "units_equal",
    "exploding_by_depth": "gradients_scaled_by_depth",
    "exploding_init": "initial_outputs_too_large",
    "foreign_parameters": "optimizer_of_former_model",
    "frozen_by_mistake": "frozen_on_the_way",
    "future_tokens_seen": "label_leak target_leak",
    "gradients_not_cleared": "gradients_not_cleared",
    "labels_noisy": "label_noise",
    "low_precision_lost": "updates_rounded_away",
    "metric_hard_coded": "metric_constant",
    "missing_from_optimizer": "parameters_not_optimized",
    "nan_in_module": "module_makes_nan numeric_range",
    "not_normalised": "inputs_not_normalised",
    "order_never_changes": "rows_never_shuffled",
    "order_sorted": "rows_sorted data_order",
    "probabilities_for_logits": "softmax_too_many",
    "probabilities_for_log_probabilities": "log_missing",
    "rescaled_in_place": "rescaled_in_place",
    "rows_mix": "rows_mix",
    "saturated": "units_saturated",
    "scheduler_never_stepped": "scheduler_at_wrong_pace",
    "scheduler_double_stepped": "scheduler_at_wrong_pace",
    "softmax_wrong_axis": "softmax_too_many",
    "step_never": "step_missing",
    "step_twice": "step_repeated",
    "targets_shifted": "label_mismatch",
    "targets_shuffled": "label_mismatch label_noise",
    "targets_are_inputs": "label_leak target_leak",
    "term_dominates": "dominant_term",
    "ties_broken": "ties_broken",
    "trains_in_eval_mode": "train_missing",
    "update_too_large": "updates_out_of_range learning_rate_too_high",
    "update_too_small": "updates_out_of_range learning_rate_too_low",
    "validates_in_train_mode": "eval_missing",
    "validates_on_training_rows": "validation_is_training leaked_split",
    "validation_preprocessed_differently": "validation_differs",
    "vanishing_by_depth": "gradients_scaled_by_depth vanishing_gradient",
    "warmup_too_long": "schedule_wrong",
    "weight_decay_destroys": "weight_decay_destroys",
    "zero_init": "begins_at_zero",
}


def names_of(causes: Iterable[str]) -> frozenset[str]:
    """Names of lvmcheck that are right for a program with these causes."""
    return frozenset(name for cause in causes for name in SAME[cause].split())
