"""Fusing the steps of a plan: elementwise chains into one pass, or into what computes their input."""
