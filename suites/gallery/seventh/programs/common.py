"""Options that every program takes."""
import argparse
import os


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--fault", default="")
    parser.add_argument("--habit", default="")
    parser.add_argument("--watch", action="store_true")
    o = parser.parse_args()
    os.makedirs(os.path.dirname(os.path.abspath(o.out)), exist_ok=True)
    return o
