"""What findings of some checks say by their codes alone: a line a finding."""

from __future__ import annotations

from dataclasses import dataclass

PLAYERS = "gan_balance"


@dataclass(frozen=True)
class Said:
    check: str
    code: str
    cause: str
    phrase: str
    also: tuple[str, ...]
    fix: str
    tell_apart: str


ALL = (
    Said(
        "metric_constant",
        "term_constant",
        "weights_never_move",
        "a term of the loss never moves while the loss falls: what it depends on may not be trained",
        ("parameters_not_optimized", "graph_cut", "metric_constant"),
        "build the optimizer from all parameters, and look for detach() and no_grad() before that term",
        "print one weight of that part, and its gradient, before and after a step",
    ),
    Said(
        "train_val_ratio",
        "at_ln_of_batch",
        "wrong_scale",
        "the training loss begins at the logarithm of the batch size: it may be normalised over rows, not over classes",
        ("softmax_too_many", "rows_mix"),
        "take softmax and log_softmax over the classes (dim=1 or -1)",
        "print log_probs.exp().sum(1) and .sum(0): which of them is 1?",
    ),
    Said(
        "nothing_learned",
        "at_ln_of_pairs",
        "wrong_scale",
        "the loss stays at that of a uniform guess over the batch: similarities may be scaled down too far",
        ("not_learning", "learning_rate_too_low", "collapsed_representation"),
        "divide similarities by a temperature of 0.05 to 0.5",
        "print the similarities of one batch before softmax: their spread should be several units",
    ),
    Said(
        "loss_exactly_zero",
        "zero_at_once",
        "target_leak",
        "the loss is 0 from the first steps on, and the accuracy stays poor: it may compare a tensor with itself",
        ("label_mismatch", "duplicated_rows", "loss_not_computed"),
        "print what is compared in one step: a positive must not be its own anchor, nor a target its own input",
        "print distances or logits and targets of one batch before the first step",
    ),
    Said(
        PLAYERS,
        "both_win",
        "label_mismatch",
        "both losses go to 0: generator and discriminator are trained on the same labels",
        ("loss_sign", "loss_not_computed"),
        "data are 1 and samples 0 for the discriminator, and samples 1 for the generator",
        "print the targets of the three losses in one step",
    ),
    Said(
        PLAYERS,
        "critic_wins",
        "not_learning",
        "the generator does not respond to its discriminator",
        ("weights_never_move", "vanishing_gradient", "collapsed_representation"),
        "do not detach the samples in the generator's step, and build its optimizer from its own parameters",
        "print one weight of the generator and its gradient norm before and after its step",
    ),
    Said(
        PLAYERS,
        "both_gain",
        "weights_never_move",
        "both losses fall below those of a guess: the generator's optimizer may hold the discriminator",
        ("label_mismatch", "loss_sign", "not_learning"),
        "build each optimizer from the parameters of its own network",
        "print one weight of each network before and after either step",
    ),
    Said(
        PLAYERS,
        "critic_loses",
        "weights_never_move",
        "the discriminator does not respond to its generator: it ends worse than a random guess",
        ("label_mismatch", "loss_sign"),
        "build the discriminator's optimizer from its own parameters, and call its step",
        "print one weight of the discriminator before and after its step: it moves where labels or sign are wrong",
    ),
    Said(
        PLAYERS,
        "critic_wild",
        "learning_rate_too_high",
        "the discriminator's loss jumps around, above that of a random guess",
        ("diverging",),
        "divide the discriminator's learning rate by 100",
        "lr /= 100 for 200 steps: if its loss stays below that of a guess it was the rate",
    ),
    Said(
        PLAYERS,
        "swings",
        "diverging",
        "nothing bounds the critic: both losses oscillate with growing amplitude",
        ("exploding_gradient", "loss_not_computed", "learning_rate_too_high"),
        "add the gradient penalty with its weight, or clip the critic's weights",
        "print the penalty and its weight in one step",
    ),
    Said(
        "score_follows_loss",
        "never_right",
        "target_leak",
        "the loss says that everything is right, and the score that nothing is: {metric} is at "
        "most {last}, the loss {loss}",
        ("constant_targets", "label_leak", "label_mismatch", "metric_constant", "validation_differs"),
        "look for the target among the inputs, for targets that are all one value, and at how the score is computed",
        "print prediction and target of five validation rows where the score is computed",
    ),
    Said(
        "score_follows_loss",
        "perfect",
        "metric_constant",
        "an error of exactly 0 beside a loss of {loss}: predictions may be compared with themselves, or after a mean",
        ("target_leak", "validation_differs"),
        "compare row by row, before any mean, and predictions with targets rather than with themselves",
        "print prediction, target and error of five rows",
    ),
    Said(
        "score_follows_loss",
        "below_guessing",
        "label_mismatch",
        "validation predictions are worse than random guesses, and the training loss is {loss}: "
        "classes may be numbered differently",
        ("validation_differs",),
        "compare the numbering of classes in both sets: from 0 or from 1, in which order",
        "evaluate training rows in the validation loop: wrong there too is the metric, right is the set",
    ),
    Said(
        "terms_descend",
        "rises",
        "dominant_term",
        "{term} is left behind: it went from {first} to {last} while {other} fell",
        ("loss_not_computed", "loss_term_detached"),
        "train on this term alone for 200 steps; then weight the terms so that their gradients have the same size",
        "print the loss with and without this term: equal numbers mean that it is not in the sum",
    ),
    Said(
        "terms_descend",
        "stays",
        "dominant_term",
        "{term} is left behind: it stays at {last} while {other} falls",
        ("loss_term_detached", "label_mismatch", "loss_not_computed"),
        "train on this term alone for 200 steps; then weight the terms so that their gradients have the same size",
        "print its grad_fn: None is a detached term, else it has no weight beside the other",
    ),
    Said(
        "terms_descend",
        "zero",
        "loss_not_computed",
        "{term} is exactly 0 in every value: it is compared with itself, or not computed",
        (),
        "print both arguments of this term for one batch",
        "",
    ),
    Said(
        "settles",
        "surprised",
        "data_order",
        "each epoch starts with rows that the model has unlearned: rows may be sorted by class",
        ("learning_rate_too_high",),
        "shuffle the training rows in every epoch",
        "print the labels of the first three batches: the same label throughout means sorted rows",
    ),
    Said(
        "settles",
        "restless",
        "learning_rate_too_high",
        "no loss settles: {metric} still jumps by {last} of its level at the end",
        ("data_order", "diverging"),
        "divide the learning rate by 10, and shuffle the training rows",
        "lr /= 10 for 200 steps: if the jumps get smaller it was the rate",
    ),
    Said(
        "terms_not_negligible",
        "left_out",
        "dominant_term",
        "{term} is a share of {last} of the loss: the other terms decide what is learned",
        ("wrong_scale",),
        "scale the targets of each term to a variance of 1, then weight the terms",
        "print each term times its weight in the first step",
    ),
    Said(
        "error_follows_loss",
        "stays",
        "dominant_term",
        "the loss is nearly 0 and {metric} is {last}: a term that decides the answer has no weight",
        ("loss_not_computed", "wrong_scale"),
        "print each term beside the error, and weight the terms so that their gradients have the same size",
        "set the weight of the other terms to 0 for 200 steps: the term alone must fall",
    ),
    Said(
        "loss_fits_accuracy",
        "two_softmaxes",
        "wrong_scale",
        "the loss stays at {last}, close to the lowest value that a double softmax over about {classes} classes allows",
        ("softmax_too_many",),
        "give the loss raw outputs: cross_entropy applies log_softmax itself",
        "",
    ),
    Said(
        "error_follows_loss",
        "other_answer",
        "label_mismatch",
        "the loss is nearly 0 and {metric} is {last}: the loss solves another problem than the metric measures",
        ("loss_sign", "dominant_term", "wrong_scale"),
        "put the known solution into the loss: it must be 0",
        "compute each term for the known solution: the one that is not 0 has the wrong sign or target",
    ),
    *(
        Said(
            "embeddings_spread",
            code,
            "collapsed_representation",
            "embeddings collapse to one point: {metric} is {last}",
            ("dominant_term",),
            "add the variance term, negatives or a stop-gradient, and watch the spread",
            "print the weight and the value of the term that keeps embeddings apart",
        )
        for code in ("shrinks", "together")
    ),
    Said(
        "learning_kept",
        "returns",
        "weights_reset",
        "the model starts over {returns} times: {metric} returns to its initial level and falls again",
        (),
        "make model and optimizer once, before the loop, and load no checkpoint inside it",
        "",
    ),
    Said(
        "learning_kept",
        "epochs_alike",
        "weights_reset",
        "the model starts over in every epoch: {metric} repeats the values of the first epoch",
        (),
        "make model and optimizer once, before the loop over epochs, and load no checkpoint inside it",
        "",
    ),
    Said(
        "learning_kept",
        "forgets",
        "weights_reset",
        "the model starts over: {metric} falls to almost 0 {returns} times, and jumps back",
        ("learning_rate_too_high",),
        "make model and optimizer once, before the loop, and load no checkpoint inside it",
        "print one weight every ten steps: it jumps back to one and the same value where it is reset",
    ),
    Said(
        "learning_kept",
        "lost",
        "weights_reset",
        "what the first steps learned is lost: {metric} never returns to {reached}",
        ("learning_rate_too_high", "data_order"),
        "make model and optimizer once, and load no checkpoint inside the loop",
        "print one weight every ten steps: it jumps back where it is reset",
    ),
)
