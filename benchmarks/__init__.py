"""Measurements of the running product beside its alternatives, on one machine, in one run."""
