"""Words in the names of metrics, and what each of them says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache


class Quantity(StrEnum):
    LOSS = "loss"
    TERM = "loss term"
    ERROR = "error"
    ACCURACY = "accuracy"
    SCORE = "score"
    COSINE = "cosine"
    R2 = "r2"
    PERPLEXITY = "perplexity"
    BITS = "bits"
    REWARD = "reward"
    GRAD_NORM = "gradient norm"
    LEARNING_RATE = "learning rate"
    ENTROPY = "entropy"
    KL = "kl"
    COUNT = "count"
    UNKNOWN = "unknown"


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


TRAIN = _set("train training tr trn")
VALIDATION = _set("val valid validation eval evaluation test testing dev heldout holdout ood vld va")
IGNORED = _set("step epoch mean avg average running smoothed ema total overall metrics metric the ep rollout")
NOT_THE_MODEL = _set(
    """baseline baselines persistence climatology teacher oracle chance majority naive bayes dummy trivial random human
    sota reference ref unigram bigram optimal optimum theoretical floor ceiling threshold goal before initial untrained
    best prev previous std stdev stddev sem"""
)
"""Words of a line that is drawn for comparison, of a model before it was trained, or of a spread."""
WEIGHTS = _set("sigma weight weights coef coefficient coefficients lambda logvar logsigma uncertainty")
"""Words of a figure that belongs to a term, and is none."""
TERMS = _set(
    """kl kld reg regularization regularisation l1 l2 aux auxiliary adv adversarial gan g d gen generator disc
    discriminator critic value policy actor pg vf entropy commit commitment vq codebook perceptual lpips cls box obj
    dfl rpn mask bbox giou iou objectness balance router load recon reconstruction rec contrastive distill
    distillation mlm nsp info infonce mse ce nll moment variance real fake gp wd penalty consistency q qf alpha
    temp temperature td kt feat feature style content tv cycle identity proposal semantic dice focal ctc att"""
)
"""Words that make a loss one term of it."""
_VOCABULARY = {
    Quantity.LOSS: """loss losses nll crossentropy xent xe ce bce hinge logloss cost objective elbo nce ntxent bpr
        triplet""",
    Quantity.ERROR: """mse rmse mae mape rmsle msle wer cer er ber der error err eer fid fvd kid swd mmd emd
        wasserstein chamfer mre epe brier ece pinball huber smoothl1 logcosh crps mase smape nrmse rell2 ade fde
        mpjpe""",
    Quantity.ACCURACY: """acc accuracy top1 top5 top3 top10 acc1 acc5 acc10 precision recall sensitivity
        specificity pck bacc uar""",
    Quantity.SCORE: """f1 auc auroc auprc roc ap map ap50 ap75 map50 iou miou dice bleu rouge rouge1 rouge2 rougel mrr
        exact ndcg hit hits score kappa mcc psnr ssim spearman pearson kendall em cindex concordance chrf cider meteor
        sari pesq stoi sdr sisdr snr nmi ari silhouette""",
    Quantity.COSINE: "cosine cos cosinesimilarity",
    Quantity.R2: "r2 r2score rsquared",
    Quantity.PERPLEXITY: "perplexity ppl",
    Quantity.BITS: "bpb bpc bpd bits",
    Quantity.REWARD: "reward rewards rew return returns ret winrate successrate",
    Quantity.GRAD_NORM: "gradnorm gnorm",
    Quantity.LEARNING_RATE: "lr learningrate",
    Quantity.ENTROPY: "entropy",
    Quantity.KL: "kl kld kldiv divergence approxkl",
    Quantity.COUNT: """seconds time runtime questions samples tokens steps count size memory gpu iter iteration hours
        second""",
}
QUANTITIES = {word: quantity for quantity, text in _VOCABULARY.items() for word in text.split()}
_PAIRS = {
    ("grad", "norm"): "gradnorm",
    ("gradient", "norm"): "gradnorm",
    ("learning", "rate"): "learningrate",
    ("cross", "entropy"): "crossentropy",
    ("cosine", "similarity"): "cosinesimilarity",
    ("error", "rate"): "error",
    ("explained", "variance"): "r2",
    ("r", "squared"): "r2",
    ("top", "1"): "top1",
    ("top", "5"): "top5",
    ("log", "loss"): "logloss",
    ("exact", "match"): "em",
    ("per", "byte"): "bits",
    ("average", "precision"): "ap",
    ("m", "ap"): "map",
    ("c", "index"): "cindex",
    ("smooth", "l1"): "smoothl1",
    ("log", "cosh"): "logcosh",
    ("rel", "l2"): "rell2",
    ("win", "rate"): "winrate",
    ("success", "rate"): "successrate",
}
_CASED = {"mAE": "mae", "mAP": "map", "mIoU": "miou", "IoU": "iou", "nDCG": "ndcg", "NDCG": "ndcg"}
"""Words that capitals within them do not divide."""
_JOINED = {
    f"{side}{what}": (of, what)
    for of, sides in (
        ("train", ("t", "tr", "trn", "train")),
        ("val", ("v", "val", "valid", "eval", "dev", "te", "test")),
    )
    for side in sides
    for what in ("loss", "acc")
}
"""``vloss`` and ``tacc`` as two words."""
_AT_RANK = re.compile(r"(hits|hit|hr|ndcg|recall|precision)(\d+)")
"""``ndcg10`` and ``hr10`` as a score and its rank."""
PLAYERS = {
    **dict.fromkeys(("g", "gen", "generator", "lossg", "gloss"), "generator"),
    **dict.fromkeys(("d", "disc", "discriminator", "critic", "lossd", "dloss"), "discriminator"),
}
_SECOND, _JUDGED = "discriminator", frozenset({"real", "fake"})
PLURALS = {
    "losses": "loss",
    "accs": "acc",
    "accuracies": "accuracy",
    "lrs": "lr",
    "rates": "rate",
    "norms": "norm",
    "errors": "error",
    "errs": "err",
    "scores": "score",
    "f1s": "f1",
    "aucs": "auc",
    "precisions": "precision",
    "recalls": "recall",
    "perplexities": "perplexity",
    "ppls": "ppl",
    "maes": "mae",
    "mses": "mse",
    "rmses": "rmse",
    "dices": "dice",
    "ious": "iou",
    "mious": "miou",
    "psnrs": "psnr",
    "bleus": "bleu",
    "rewards": "reward",
    "returns": "return",
}
"""What people call a list of values, and one of them."""
_DISTANCE = frozenset({"distance", "dist"})
_OF_SAMPLES = _set("sample samples sampling sampled generated fake frechet sliced chamfer hausdorff earth mover energy")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[\s/.:\-_@|]+")


def words(name: str) -> list[str]:
    """``Val/LossTotal`` as ["val", "loss", "total"]; pairs such as "grad norm" are one word."""
    return [*_words(name)]


@lru_cache(maxsize=1 << 14)  # many checks ask for the words of one name
def _words(name: str) -> tuple[str, ...]:
    for cased, plain in _CASED.items():
        name = name.replace(cased, plain)
    parts = [part for word in _SEPARATORS.split(_CAMEL.sub("_", name).lower()) if word for part in _divided(word)]
    parts = [PLURALS.get(part, part) for part in parts]
    parts = [
        "hits" if part == "hr" and after.isdigit() else part
        for part, after in zip(parts, [*parts[1:], ""], strict=False)
    ]
    found: list[str] = []
    index = 0
    while index < len(parts):
        pair = _PAIRS.get((parts[index], parts[index + 1])) if index + 1 < len(parts) else None
        found.append(pair or parts[index])
        index += 2 if pair else 1
    return tuple(found)


def _divided(word: str) -> tuple[str, ...]:
    """A word that is two, as both."""
    ranked = _AT_RANK.fullmatch(word)
    return _JOINED.get(word) or ((ranked[1], ranked[2]) if ranked else (word,))


def player(name: str) -> str | None:
    """Which of two players a loss belongs to, by its name."""
    return next((PLAYERS[word] for word in words(name) if word in PLAYERS), None)


def adversaries(names: Iterable[str]) -> bool:
    """Whether two players are among the names, or a discriminator that is asked of data and of samples."""
    said = [set(words(name)) for name in names]
    found = {PLAYERS[word] for parts in said for word in parts if word in PLAYERS}
    judged = {word for parts in said for word in parts & _JUDGED if any(PLAYERS.get(p) == _SECOND for p in parts)}
    return len(found) == 2 or judged == _JUDGED


def distance_of_samples(name: str, adversarial: bool) -> bool:
    """Whether a metric is how far generated samples are from the data; alone it is in a run of two players only."""
    rest = [word for word in words(name) if word not in _DISTANCE | TRAIN | VALIDATION | IGNORED]
    known = bool(rest) or adversarial
    return known and len(rest) < len(words(name)) and bool(_DISTANCE & set(words(name))) and set(rest) <= _OF_SAMPLES
