"""Measuring what dca does on a site's own store and disk, each figure beside its floor from the same run."""
