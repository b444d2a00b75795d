"""Fusing the steps of a plan: elementwise chains into one pass over memory, or into what computes their input."""
