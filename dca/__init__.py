"""dca, Distributed Computing Accounting: the books of a computing centre."""

__version__ = "0.1.0"
