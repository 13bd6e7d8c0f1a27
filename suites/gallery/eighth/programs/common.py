"""Options that every program takes."""
import argparse

import torch

torch.set_num_threads(1)


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--fault", default="")
    parser.add_argument("--habit", default="")
    parser.add_argument("--curves", action="store_true")
    o = parser.parse_args()
    o.record = o.extra = {"watch": False} if o.curves else {}
    return o
