"""Causes in batches that a check measured itself."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Evidence
from lvmcheck.causes.watch._measured import Measured, preflight_run, values
from lvmcheck.checks.watch._watched import case_run

_INPUTS = {"mean": 0.0, "std": 1.0, "lowest": -3.0, "highest": 3.0, "binary": 0.0}


def _own_rows(evidence: Evidence) -> bool:
    """Ranks read rows of their own, by a distributed sampler that draws by epoch: ranks_epoch_never_set."""
    return any(same <= 0.5 for same in values(evidence, "rank_rows", "same", 1.0))


CAUSES: Sequence[Measured] = (
    Measured(
        cause="constant_targets",
        what="Every row has the same target.",
        checks=("targets_vary",),
        explains=("targets_differ_by_row", "loss_exactly_zero", "too_good_to_be_true", "metric_constant"),
        phrase="every row has the same target",
        fix="look at the column and the index that targets come from",
        healthy={"healthy": case_run("loss_target", [{"constant": 0.0}] * 5)},
        shown={
            "one_number": case_run("loss_target", [{"constant": 1.0, "value": 0.7}] * 5),
            "for_long": case_run("loss_target", [{"constant": 1.0, "value": 0.7}] * 20),
        },
    ),
    Measured(
        cause="duplicated_rows",
        what="Rows occur several times in the training set.",
        checks=("train_rows_differ",),
        explains=("validation_rows_unseen", "overfits", "memorises"),
        phrase="rows occur several times in the training set",
        fix="remove the copies before the split; train for more epochs instead of repeating rows",
        healthy={"healthy": case_run("data_repeats", [{"rows": 640.0, "repeated": 0.4, "least": 0.0}])},
        shown={
            "four_times": case_run("data_repeats", [{"rows": 640.0, "repeated": 0.75, "least": 0.74}]),
            "a_fifth": case_run("data_repeats", [{"rows": 640.0, "repeated": 0.2, "least": 0.2}]),
        },
    ),
    Measured(
        cause="argument_lost",
        what="An input of the model with one number a row, such as a time step, is 0 throughout.",
        checks=("arguments_vary",),
        explains=("learns_slowly",),
        phrase="an input with one number a row is 0 for every row",
        fix="print it before the model is called; t // T is 0 for every t below T",
        healthy={"varies": case_run("arguments", [{"inputs": 1.0, "zero": 0.0, "samples": 40.0}])},
        shown={
            "integer_division": case_run("arguments", [{"inputs": 1.0, "zero": 1.0, "floats": 1.0, "samples": 40.0}])
        },
    ),
    Measured(
        cause="missing_values_as_numbers",
        what="A number far from all others, as one that stands for missing values, is in many rows of an input.",
        checks=("inputs_without_sentinels",),
        explains=("inputs_scaled",),
        phrase="many rows have one number that is far from all others, as one that stands for missing values",
        fix="fill missing values with the median after scaling, and add a column that says which were missing",
        healthy={"long_tail": case_run("far_value", [{"deviations": 3.0, "share": 0.01, "column": 2.0, "value": 9.0}])},
        shown={"minus_999": case_run("far_value", [{"deviations": 60.0, "share": 0.04, "column": 2.0, "value": -9.0}])},
    ),
    Measured(
        cause="class_weights_inverted",
        what="The weights of classes rise with their frequencies.",
        checks=("class_weights_fit",),
        codes=("with_frequency",),
        explains=("predictions_constant", "metric_constant", "nothing_learned"),
        phrase="frequent classes have large weights, and rare ones small",
        fix="weight = counts.sum() / (len(counts) * counts)",
        healthy={"inverse": case_run("class_weights", [{"rows": 900.0, "range": 8.0, "with_frequency": 60.0}])},
        shown={"proportional": case_run("class_weights", [{"rows": 900.0, "range": 8.0, "with_frequency": 1.2}])},
    ),
    Measured(
        cause="class_ignored",
        what="The loss ignores the rows of a class.",
        checks=("class_weights_fit",),
        codes=("ignored",),
        explains=("first_epoch_agrees", "memorises", "train_val_ratio", "validation_in_scale"),
        phrase="the loss ignores the rows of one class",
        fix="leave ignore_index at -100 where no class is padding",
        healthy={"all_count": case_run("class_weights", [{"rows": 900.0, "ignored": 0.0, "one_a_row": 1.0}])},
        shown={"index_0": case_run("class_weights", [{"rows": 900.0, "ignored": 0.1, "one_a_row": 1.0}])},
    ),
    Measured(
        cause="views_identical",
        what="The two views that a contrastive loss compares are one and the same.",
        checks=("views_differ",),
        explains=("too_good_to_be_true", "validation_in_scale", "embeddings_apart", "memorises", "nothing_learned"),
        phrase="the two views of a batch are the same",
        fix="draw the augmentation anew for each view",
        healthy={"two_views": case_run("views", [{"apart": 0.4, "pairs": 1.0}] * 4)},
        shown={"one_view": case_run("views", [{"apart": 0.0, "pairs": 1.0}] * 4)},
    ),
    Measured(
        cause="inputs_ignored",
        what="A part of the input has no effect on the output.",
        probes=("inputs_matter", "mask_matters"),
        phrase="a part of the input has no effect on the output",
        fix="use every argument of forward; look for a slice, a mask or a weight of zero that drops it",
        healthy={"other_probe": preflight_run("causal:future_seen")},
        shown={
            "inputs_matter_tensor_ignored": preflight_run("inputs_matter:tensor_ignored"),
            "mask_matters_mask_ignored": preflight_run("mask_matters:mask_ignored"),
        },
    ),
    Measured(
        cause="inputs_not_normalised",
        what="Inputs are constant, or far from zero mean and unit deviation.",
        checks=("inputs_scaled",),
        explains=(
            *("units_unsaturated", "units_alive", "gradient_by_depth", "gradient_reaches", "nothing_learned"),
            *("first_non_finite", "finite", "gradient_norm_steady", "outputs_vary", "clipping_acts_sometimes"),
        ),
        phrase="inputs are not normalised, or are constant",
        fix="standardise with the statistics of the training data, once, or begin the model with a norm",
        healthy={"standardised": case_run("inputs", [_INPUTS] * 3)},
        shown={
            "pixels": case_run("inputs", [{**_INPUTS, "mean": 120, "std": 70}] * 3),
            "constant": case_run("inputs", [{**_INPUTS, "std": 0}] * 3),
        },
    ),
    Measured(
        cause="labels_masked_wrongly",
        what="The mask of the labels leaves out what should be learned.",
        probes=("label_mask",),
        phrase="the labels that count are not those that should be learned",
        fix="label only the answer with its end token, and give -100 to everything else",
        healthy={"other_probe": preflight_run("causal:future_seen")},
        shown={
            "label_mask_all_ignored": preflight_run("label_mask:all_ignored"),
            "label_mask_end_cut": preflight_run("label_mask:end_cut"),
        },
    ),
    Measured(
        cause="one_batch_repeated",
        what="Every step sees the same batch, or the same few rows.",
        checks=("batches_differ",),
        explains=(
            "epoch_order_changes",
            "loss_diverging",
            "overfits",
            "memorises",
            "nothing_learned",
            "train_val_ratio",
        ),
        phrase="every step trains on the same few rows",
        fix="iterate over the loader: next(iter(loader)) inside the loop gives the first batch every time; give a "
        "sampler one weight for each row, not for each class",
        healthy={"others": case_run("batch", [{"same_as_last": 0, "rows": 32, "distinct": 32}] * 10)},
        shown={"same": case_run("batch", [{"same_as_last": 1, "rows": 32, "distinct": 32}] * 10)},
    ),
    Measured(
        cause="rows_mix",
        what="The output of a row depends on the other rows of its batch.",
        checks=("rows_apart",),
        probes=("rows_independent",),
        phrase="the output of a row depends on the other rows of its batch",
        fix="reduce, normalise and attend over features or positions, never over dimension 0; set batch_first=True "
        "where rows come first",
        healthy={"other_probe": preflight_run("causal:future_seen")},
        shown={
            "in_the_loop": case_run("row_mixing", [{"change": 0.3, "rows": 13.0}]),
            "rows_independent_other_rows_seen": preflight_run("rows_independent:other_rows_seen"),
        },
    ),
    Measured(
        cause="rows_sorted",
        what="Training data are sorted by class.",
        checks=("labels_mixed", "rows_reshuffled"),
        codes=("sorted",),
        explains=("epoch_order_changes", "epoch_pattern"),
        phrase="batches hold one class after another",
        fix="shuffle the training data",
        healthy={"mixed": case_run("labels", [{"distinct": 8, "rows": 32, "seen": 8}] * 10)},
        shown={
            "sorted": case_run("labels", [{"distinct": 1, "rows": 32, "seen": 8}] * 10),
            "by_target": case_run("data_order", [{"sorted": 1.0, "steps": 20.0}]),
        },
    ),
    Measured(
        cause="targets_broadcast",
        what="Outputs and targets of a regression are broadcast against each other.",
        checks=("targets_differ_by_row", "loss_inputs"),
        codes=("same_target", "broadcast"),
        probes=("loss_broadcasts",),
        phrase="the loss pulls every row to the mean of the batch, as when outputs [N, 1] are broadcast "
        "against targets [N]",
        fix="give both the same shape: output.squeeze(-1)",
        healthy={
            "own_targets": case_run(
                "targets", [{"slope": 0.1, "target": 0.3, "residual": 0.5, "deviation": 0.5, "rows": 32}] * 5
            )
        },
        shown={
            "broadcast": case_run(
                "targets", [{"slope": 0.1, "target": 0.3, "residual": 0.0, "deviation": 0.5, "rows": 32}] * 5
            )
        },
    ),
    Measured(
        cause="augmentation_frozen",
        what="The random augmentation draws the same numbers each time.",
        unless=lambda evidence: evidence.failed("augmentation_varies") is None and _own_rows(evidence),
        checks=("augmentation_varies", "random_state_advances"),
        explains=("overfits", "memorises", "epoch_order_changes"),
        phrase="the random augmentation of a row draws the same numbers each time",
        fix="draw from the global generator, or seed by epoch and index; never by the index alone",
        healthy={"healthy": case_run("augmentation", [{"draws": 144.0, "same": 0.0}])},
        shown={
            "seeded": case_run("augmentation", [{"draws": 144.0, "same": 1.0}]),
            "one_number": case_run("augmentation", [{"draws": 1.0, "same": 1.0}]),
        },
    ),
    Measured(
        cause="rows_never_shuffled",
        what="Every epoch has the same order.",
        unless=_own_rows,
        checks=("epoch_order_changes", "rows_reshuffled"),
        codes=("same_order", "same_course"),
        explains=("epoch_pattern",),
        phrase="every epoch has the same order of rows",
        fix="shuffle=True; sampler.set_epoch(epoch) under DistributedSampler; set the random seed once, before the"
        " loop",
        healthy={"shuffled": case_run("epoch_order", [{"same": 0.0, "rows": 32, "steps": 16}] * 2)},
        shown={"same": case_run("epoch_order", [{"same": 1.0, "rows": 32, "steps": 16}] * 2)},
    ),
)
