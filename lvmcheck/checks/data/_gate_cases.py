"""Facts that the cases of gates are made of, as measured on WikiText-2 vectors and on the synthetic twin."""

from __future__ import annotations

from collections.abc import Mapping

from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

# 43,387 sentence vectors (MiniLM, 384 dimensions, float16) of 657 articles, split by article, with two OOD sets.
WIKITEXT: dict[str, ev.Value] = {
    "context": 5,
    "split": "by_article",
    "leak": 0.0,
    "mean_of_context": 0.5271,
    "best_linear": 0.5468,
    "ood.enwiki.mean_of_context": 0.5368,
    "ood.enwiki.best_linear": 0.5547,
    "ood.pydoc.mean_of_context": 0.5146,
    "ood.pydoc.best_linear": 0.5242,
    "gate.parts": ["data", "ood.enwiki", "ood.pydoc"],
    "gate.grouped": "article",
    "gate.left_article": 0,
    "gate.data.articles": 657,
    "gate.data.null_rows": 0,
    "gate.data.largest_article": 378,
    "gate.data.median_article": 47.0,
    "gate.data.oversized_articles": 0,
    "gate.data.oversized_rows": 0,
    "gate.data.torn_articles": 0,
    "gate.data.windows": 40_102,
    "gate.data.windows_inside": 40_102,
    "gate.data.windows_crossing": 0,
    "gate.data.windows_unplaced": 0,
    "gate.split.one_corpus": 1,
    "gate.split.shared_articles": 0,
    "gate.split.by_row": 1,
    "gate.split.targets": 4040,
    "gate.split.targets_searched": 4040,
    "gate.split.copied_share": 0.0002,
    "gate.split.twin_levels": [0.999, 0.995, 0.99, 0.98, 0.95],
    "gate.split.twin_shares": [0.0005, 0.0005, 0.0005, 0.0005, 0.0005],
    "gate.split.twin_pairs": 2,
    "gate.split.twin_covered": 0.0,
    "gate.data.order_pairs": 42_730,
    "gate.data.order_lags": [0.4588, 0.4112, 0.3891, 0.3761, 0.3675],
    "gate.data.order_fall": 0.0954,
    "gate.data.order_fall_error": 0.0017,
    "gate.data.order_shape": 0.5215,
    "gate.data.order_shape_error": 0.0072,
    "gate.data.order_stretch_rows": [2711 * i for i in range(16)],
    "gate.data.order_stretch_falls": [0.095] * 16,
    "gate.data.order_stretch_fall_errors": [0.006] * 16,
    "gate.data.order_stretch_shapes": [0.51] * 16,
    "gate.data.order_stretch_shape_errors": [0.03] * 16,
    "gate.data.order_period": 118,
    "gate.data.order_period_excess": 0.1,
    "gate.data.order_period_inside": 0.465,
    "gate.data.order_period_edge": 0.369,
    "gate.validation.space_alignment": 0.996,
    "gate.validation.space_mean_kept": 0.97,
    "gate.validation.space_mean_length": 0.207,
    "gate.validation.space_length": 1.0,
    "gate.validation.space_mean_cosine": 0.89,
    "gate.train.lag_windows": 4000,
    "gate.train.lag_profile": [0.4614, 0.4097, 0.3896, 0.3785, 0.3729],
    "gate.train.random_cosine": 0.0448,
    "gate.train.mean_of_context": 0.5448,
    "gate.validation.lag_windows": 4000,
    "gate.validation.lag_profile": [0.4421, 0.3931, 0.3704, 0.3596, 0.3519],
    "gate.validation.random_cosine": 0.0533,
    "gate.validation.mean_of_context": 0.5271,
    "gate.ood.enwiki.space_alignment": 0.993,
    "gate.ood.enwiki.space_overlap": 0.4038,
    "gate.ood.enwiki.space_overlap_chance": 0.0417,
    "gate.ood.enwiki.space_mean_cosine": 0.5467,
    "gate.ood.pydoc.space_alignment": 0.8903,
    "gate.ood.pydoc.space_overlap": 0.0743,
    "gate.ood.pydoc.space_overlap_chance": 0.0417,
    "gate.ood.pydoc.space_mean_cosine": 0.0549,
    "gate.reference.rows": 43_387,
    "gate.reference.rows_found": 43_387,
    "gate.reference.adjacent": 42_730,
    "gate.reference.adjacent_kept": 42_730,
    "gate.reference.pairs": [35, 430, 2861, 8952, 17_991],
    "gate.reference.corpus_pairs": [35, 430, 2861, 8952, 17_991],
    "gate.texts.rows": 43_387,
    "gate.texts.vectors": 43_387,
    "gate.texts.equal_pairs": 15,
    "gate.texts.equal_agree": 1.0,
    "gate.texts.pairs": 4000,
    "gate.texts.correlation": 0.6592,
    "gate.texts.moved": 0.2077,
    "gate.texts.margins": [0.5032, 0.3352, 0.4088, 0.4535, 0.3597, 0.4388, 0.4549, 0.3794],
    "gate.golden.rows": 64,
    "gate.golden.stored_rows": 64,
    "gate.golden.stored_mean": 1.0,
    "gate.golden.stored_least": 0.99999,
}
_ROWS = {"data": (43_387, 14, 0.0005), "ood.enwiki": (10_412, 3, 0.0005), "ood.pydoc": (4_579, 45, 0.0205)}
for _part, (_rows, _copies, _near) in _ROWS.items():
    WIKITEXT |= {
        f"gate.{_part}.rows": _rows,
        f"gate.{_part}.nonfinite_rows": 0,
        f"gate.{_part}.zero_rows": 0,
        f"gate.{_part}.off_norm_rows": 0,
        f"gate.{_part}.norm_deviation": 0.0001,
        f"gate.{_part}.norm_low": 0.9999,
        f"gate.{_part}.norm_high": 1.0001,
        f"gate.{_part}.norm_mean": 1.0,
        f"gate.{_part}.duplicate_rows": _copies,
        f"gate.{_part}.near_sampled": 1000,
        f"gate.{_part}.near_share": _near,
    }
# The twin's train and validation articles are two corpora, in one space with a strong common direction.
TWIN: dict[str, ev.Value] = {
    key.replace("gate.data.", f"gate.{part}.").replace("ood.enwiki", "ood.coherent"): value
    for part in ("train", "validation")
    for key, value in WIKITEXT.items()
    if "pydoc" not in key and key != "gate.split.shared_articles"
} | {
    "gate.parts": ["train", "validation", "ood.coherent"],
    "gate.split.one_corpus": 0,
    "gate.split.by_row": 0,
    "mean_of_context": 0.5393,
    "best_linear": 0.6174,
    "ood.coherent.mean_of_context": 0.7564,
    "ood.coherent.best_linear": 0.8008,
    "gate.train.lag_profile": [0.4836, 0.4285, 0.3989, 0.3794, 0.3642],
    "gate.train.random_cosine": 0.2289,
    "gate.train.mean_of_context": 0.5525,
    "gate.validation.lag_profile": [0.4682, 0.4143, 0.3783, 0.3646, 0.3538],
    "gate.validation.random_cosine": 0.2357,
    "gate.validation.mean_of_context": 0.5393,
    "gate.ood.coherent.space_alignment": 0.9419,
}


def run(changes: Mapping[str, ev.Value | None] | None = None, facts: Mapping[str, ev.Value] = WIKITEXT) -> Run:
    """A run that has recorded these facts, with some changed (a None takes the fact away)."""
    changed = {key: value for key, value in {**facts, **(changes or {})}.items() if value is not None}
    return Run(events=(ev.Data(name="corpus", fingerprint="0", facts=changed),))
