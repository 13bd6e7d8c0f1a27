"""What findings of some checks say by their codes alone: the cause, what looks the same, and how to tell them apart."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.causes.curves._signs import found, gradient_facts, train_facts
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Fact, Status

PLAYERS = "players_balance"
LATER = ("nothing_learned", "loss_diverging", "gradient_norm_grows", "metric_constant", "memorises", "overfits")
RESET = (*LATER, "settles", "learning_kept")


@dataclass(frozen=True)
class _Said:
    check: str
    code: str
    cause: str
    phrase: str
    also: tuple[str, ...]
    fix: str
    tell_apart: str


_ALL = (
    _Said(
        "loss_exactly_zero",
        "zero_at_once",
        "target_leak",
        "the first steps, of a model that knows nothing, have a loss of 0: what is asked is in the input",
        ("label_mismatch", "duplicated_rows", "loss_not_computed"),
        "print what is compared in one step: a positive must not be its own anchor, nor a target its own input",
        "print distances or logits and targets of one batch before the first step",
    ),
    _Said(
        PLAYERS,
        "both_win",
        "label_mismatch",
        "both players' losses go to 0: they are trained for the same labels",
        ("loss_sign", "loss_not_computed"),
        "data are 1 and samples 0 for the discriminator, and samples 1 for the generator",
        "print the targets of the three losses in one step",
    ),
    _Said(
        PLAYERS,
        "critic_wins",
        "not_learning",
        "the generator does not answer its discriminator",
        ("weights_never_move", "vanishing_gradient", "collapsed_representation"),
        "do not detach the samples in the generator's step, and build its optimizer from its own parameters",
        "print one weight of the generator and its gradient norm before and after its step",
    ),
    _Said(
        PLAYERS,
        "both_gain",
        "weights_never_move",
        "both players gain from one: the optimizer of the generator may hold the discriminator",
        ("label_mismatch", "loss_sign", "not_learning"),
        "build each optimizer from the parameters of its own player",
        "print one weight of each player before and after either step",
    ),
    _Said(
        PLAYERS,
        "critic_loses",
        "weights_never_move",
        "the discriminator does not answer its generator: it ends worse than a guess",
        ("label_mismatch", "loss_sign"),
        "build the discriminator's optimizer from its own parameters, and call its step",
        "print one weight of the discriminator before and after its step: it moves where labels or sign are wrong",
    ),
    _Said(
        PLAYERS,
        "critic_wild",
        "learning_rate_too_high",
        "the discriminator's loss is thrown about, above that of a guess",
        ("diverging",),
        "divide the discriminator's learning rate by 100",
        "lr /= 100 for 200 steps: if its loss stays below that of a guess it was the rate",
    ),
    _Said(
        PLAYERS,
        "swings",
        "diverging",
        "nothing bounds the critic: both losses swing ever further",
        ("exploding_gradient", "loss_not_computed", "learning_rate_too_high"),
        "add the gradient penalty with its weight, or clip the critic's weights",
        "print the penalty and its weight in one step",
    ),
    _Said(
        "score_follows_loss",
        "never_right",
        "target_leak",
        "nothing is right where the loss says that everything is: {metric} is at most {last}, the loss {loss}",
        ("constant_targets", "label_leak", "label_mismatch", "metric_constant", "validation_differs"),
        "look for the target among the inputs, for targets that are all one value, and at how the score is computed",
        "print prediction and target of five validation rows where the score is computed",
    ),
    _Said(
        "score_follows_loss",
        "perfect",
        "metric_constant",
        "an error of exactly 0 beside a loss of {loss}: predictions may be compared with themselves, or after a mean",
        ("target_leak", "validation_differs"),
        "compare row by row, before any mean, and predictions with targets rather than with themselves",
        "print prediction, target and error of five rows",
    ),
    _Said(
        "score_follows_loss",
        "below_guessing",
        "label_mismatch",
        "validation answers are worse than guesses, and the training loss is {loss}: classes may be numbered otherwise",
        ("validation_differs",),
        "compare the numbering of classes in both sets: from 0 or from 1, in which order",
        "evaluate training rows in the validation loop: wrong there too is the metric, right is the set",
    ),
    _Said(
        "terms_descend",
        "rises",
        "dominant_term",
        "{term} is left behind: it went from {first} to {last} while {other} fell",
        ("loss_not_computed", "loss_term_detached"),
        "train on this term alone for 200 steps; then give both gradients of one size",
        "print the loss with and without this term: equal numbers mean that it is not in the sum",
    ),
    _Said(
        "terms_descend",
        "stays",
        "dominant_term",
        "{term} is left behind: it stays at {last} while {other} falls",
        ("loss_term_detached", "label_mismatch", "loss_not_computed"),
        "train on this term alone for 200 steps; then give both gradients of one size",
        "print its grad_fn: None is a detached term, else it has no weight beside the other",
    ),
    _Said(
        "terms_descend",
        "zero",
        "loss_not_computed",
        "{term} is exactly 0 in every value: it is compared with itself, or not computed",
        (),
        "print both arguments of this term for one batch",
        "",
    ),
    _Said(
        "settles",
        "surprised",
        "data_order",
        "each epoch begins with what the last one forgot: rows may be sorted by class",
        ("learning_rate_too_high",),
        "shuffle the training rows in every epoch",
        "print the labels of the first three batches: one and the same are sorted rows",
    ),
    _Said(
        "settles",
        "restless",
        "learning_rate_too_high",
        "no loss settles: {metric} jumps by {last} of its level to the end",
        ("data_order", "diverging"),
        "divide the learning rate by 10, and shuffle the training rows",
        "lr /= 10 for 200 steps: if the jumps get smaller it was the rate",
    ),
    _Said(
        "terms_weigh",
        "left_out",
        "dominant_term",
        "{term} is a share of {last} of the loss: the other terms decide what is learned",
        ("wrong_scale",),
        "scale the targets of each term to a variance of 1, then weight the terms",
        "print each term times its weight in the first step",
    ),
    _Said(
        "error_follows_loss",
        "stays",
        "dominant_term",
        "the loss is nearly 0 and {metric} is {last}: a term that decides the answer has no weight",
        ("loss_not_computed", "wrong_scale"),
        "print each term beside the error, and weight them so that their gradients have one size",
        "set the weight of the other terms to 0 for 200 steps: the term alone must fall",
    ),
    _Said(
        "loss_fits_accuracy",
        "two_softmaxes",
        "wrong_scale",
        "softmax is applied twice: the loss rests at {last}, the least that probabilities of {classes} classes allow",
        (),
        "give the loss raw outputs: cross_entropy applies log_softmax itself",
        "",
    ),
    _Said(
        "error_follows_loss",
        "other_answer",
        "label_mismatch",
        "the loss is nearly 0 and {metric} is {last}: another problem is solved than the one that is measured",
        ("loss_sign", "dominant_term", "wrong_scale"),
        "put the known solution into the loss: it must be 0",
        "compute each term for the known solution: the one that is not 0 has the wrong sign or target",
    ),
    _Said(
        "embeddings_spread",
        "shrinks",
        "collapsed_representation",
        "embeddings become one point: {metric} is {last}",
        ("dominant_term",),
        "add the variance term, negatives or a stop-gradient, and watch the spread",
        "print the weight and the value of the term that keeps embeddings apart",
    ),
    _Said(
        "embeddings_spread",
        "together",
        "collapsed_representation",
        "embeddings become one point: {metric} is {last}",
        ("dominant_term",),
        "add the variance term, negatives or a stop-gradient, and watch the spread",
        "print the weight and the value of the term that keeps embeddings apart",
    ),
    _Said(
        "learning_kept",
        "returns",
        "weights_reset",
        "the model begins anew {returns} times: {metric} goes back to its beginning and falls again",
        (),
        "make model and optimizer once, before the loop, and load no checkpoint inside it",
        "",
    ),
    _Said(
        "learning_kept",
        "epochs_alike",
        "weights_reset",
        "the model begins anew in every epoch: {metric} is each time what it was in the first",
        (),
        "make model and optimizer once, before the loop over epochs, and load no checkpoint inside it",
        "",
    ),
    _Said(
        "learning_kept",
        "forgets",
        "weights_reset",
        "the model begins anew: {metric} falls to next to nothing {returns} times, and comes back",
        ("learning_rate_too_high",),
        "make model and optimizer once, before the loop, and load no checkpoint inside it",
        "print one weight every ten steps: it jumps back to one and the same value where it is reset",
    ),
    _Said(
        "learning_kept",
        "lost",
        "weights_reset",
        "what the first steps learned is lost: {metric} does not get back to {reached}",
        ("learning_rate_too_high", "data_order"),
        "make model and optimizer once, and load no checkpoint inside the loop",
        "print one weight every ten steps: it jumps back where it is reset",
    ),
)


def by_code(cause: Cause, evidence: Evidence) -> Diagnosis | None:
    """The diagnosis of a cause that a finding names by its code."""
    for said in _ALL:
        finding = evidence.failed(said.check) if said.cause == cause.name() else None
        if finding is None or finding.code != said.code:
            continue
        failed = evidence.outcome(said.check).status is Status.FAILED
        curve = Fact("term" if said.check in ("terms_descend", "terms_weigh") else "metric", finding.metric)
        last = Fact("last", finding.measured)
        own = tuple(fact for fact in finding.evidence if fact.name != "last")
        facts = (curve, last, *own, *gradient_facts(evidence.run), *train_facts(evidence.run))
        return found(
            cause,
            Standing.LIKELY if failed else Standing.CONSISTENT,
            said.phrase,
            facts if own else (*facts, *finding_facts(finding)),
            fix=said.fix,
            explain=said.check,
            explains=RESET if said.check == "learning_kept" else LATER,
            also=said.also,
            tell_apart=said.tell_apart,
        )
    return None
