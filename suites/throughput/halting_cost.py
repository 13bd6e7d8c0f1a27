"""``python -m suites.throughput.halting_cost``: what a generated token costs against the steps it thinks.

New models halt at each step but the last with a probability of about a third, so that a threshold chooses the steps. Of
the full size and of the smoke size of suites/cognate_phase1, on one thread: CPU milliseconds a token after 64 others,
the median of tokens that are computed in turns with and without the steps they do not take.
"""

from __future__ import annotations

import statistics
import time

import torch

from models.cognate.model import Cognate

SIZES = {
    "full": {"vocab_size": 50_257, "layers": 10},
    "smoke": {"vocab_size": 320, "d_model": 64, "layers": 2, "d_ff": 128, "d_mem": 32, "head_dim": 32, "trm_heads": 2}
    | {"micro_steps": 1},
}
THRESHOLDS = (0.2, 0.5, 0.99)
PROMPT, TOKENS = 64, 16


@torch.inference_mode()
def cost(model: Cognate, rows: int) -> tuple[float, float, float]:
    """Mean steps, and milliseconds of a token with steps left out and with all of them."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, model.vocab_size, (rows, PROMPT + TOKENS), generator=generator)
    output = model(tokens[:, :PROMPT], state=model.new_state(rows))
    spent: dict[bool, list[float]] = {True: [], False: []}
    steps = []
    for place in range(PROMPT, PROMPT + TOKENS):
        state = output.state
        for early in (False, True):
            begin = time.process_time()
            output = model(tokens[:, place : place + 1], state=state, early=early)
            model.head(output.hidden[:, -1])
            spent[early].append(1e3 * (time.process_time() - begin))
        steps.append(float(output.halting_steps.double().mean()))
    return statistics.mean(steps), statistics.median(spent[True]), statistics.median(spent[False])


def main() -> None:
    """Prints a line for each size, number of rows and threshold."""
    torch.set_num_threads(1)
    for name, size in SIZES.items():
        for threshold in THRESHOLDS:
            torch.manual_seed(0)
            model = Cognate(**size, halting_threshold=threshold).eval()  # type: ignore[arg-type]
            for rows in (1, 16):
                steps, early, whole = cost(model, rows)
                said = f"{steps:.2f} steps, {early:6.2f} ms, all steps {whole:6.2f} ms"
                print(f"{name:5} {rows:2} rows, threshold {threshold:.2f}: {said}, ratio {early / whole:.2f}")


if __name__ == "__main__":
    main()
