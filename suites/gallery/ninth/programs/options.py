"""Command line shared by the programs."""
import argparse


def options():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("--fault", default="")
    p.add_argument("--habit", default="")
    p.add_argument("--curves", action="store_true")
    o = p.parse_args()
    o.extra = {"watch": False} if o.curves else {}
    return o
