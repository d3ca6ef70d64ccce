"""The seed of tests that choose some of many cases."""
import os
import random
import sys


def test_seed():
    """DITCL_TEST_SEED: a number, 1 if it is not set, or `random` for another seed in each run."""
    value = os.environ.get("DITCL_TEST_SEED") or "1"
    if value == "random":
        return random.randrange(100000)
    if not value.isdecimal():
        sys.exit(f"DITCL_TEST_SEED={value}: expected a number or random")
    return int(value)
