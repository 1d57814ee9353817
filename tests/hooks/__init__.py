"""Tests of the scheduler hooks: the scripts themselves, with what Slurm gave them."""
