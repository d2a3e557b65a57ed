"""Fused kernels of the reversible blocks: for GPUs, written in Triton, and for CPUs, in C (``native``).

Importing this package does not import Triton; ``dispatch`` does, which says when those for GPUs are used.

    hidden      a = relu(K y + b),  d = D K u       reads the container of the state or the adjoint itself
    leapfrog    prev <- 2 curr - prev - K^T a       rounding, recurrence and range check in the epilogue
    gradient    d<adjoint, K field>/dK              two stages, no atomics
    haar        one change of level of a group of frames
"""
