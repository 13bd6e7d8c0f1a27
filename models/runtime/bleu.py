"""BLEU, by sacrebleu (extra ``bleu``)."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.extras import need


def bleu(texts: Sequence[str], right: Sequence[str]) -> float:
    """Corpus BLEU, 0 to 100, with sacrebleu's defaults, and orders of which there is no n-gram left out.

    Raises:
        InputError: sacrebleu is not installed.
    """
    made = need("sacrebleu", extra="bleu", purpose="BLEU").metrics.BLEU(effective_order=True)
    return float(made.corpus_score(list(texts), [list(right)]).score)
