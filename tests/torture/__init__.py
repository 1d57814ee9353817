"""A long-running harness that kills, crowds, cuts off and fills up, and looks whether the books keep their promise.

Usage: python -m tests.torture [--minutes=N] [--seed=N] [--kinds=NAME,...] [--rounds=N]
"""
