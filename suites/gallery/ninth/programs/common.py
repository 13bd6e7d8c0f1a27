"""Options that the programs share."""

import argparse


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("outdir")
    parser.add_argument("--fault", default="")
    parser.add_argument("--habit", default="")
    parser.add_argument("--curves", action="store_true")
    o = parser.parse_args()
    o.record = {"watch": False} if o.curves else {}
    return o
