"""The native backend: graphopt's own kernels and plan executor."""
