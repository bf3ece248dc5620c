"""Comparing finished runs: who may be compared with whom, and everything that the comparison says."""
