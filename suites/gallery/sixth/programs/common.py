import argparse, json
import torch
torch.set_num_threads(1)


def options():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("--fault", default="")
    p.add_argument("--habit", default="")
    p.add_argument("--watch", action="store_true")
    return p.parse_args()


def facts(**k):
    print("FACTS " + json.dumps({a: (float(b) if not isinstance(b, (bool, str)) else b) for a, b in k.items()}))


def auc(score, y):
    order = score.argsort()
    rank = torch.empty(len(score))
    rank[order] = torch.arange(1, len(score) + 1).float()
    pos = y > 0.5
    n1, n0 = pos.sum(), (~pos).sum()
    return float((rank[pos].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def real():
    """Digits and breast cancer, as scikit-learn brings them."""
    import pathlib
    import numpy as np
    return np.load(pathlib.Path(__file__).parent / "real.npz")
