"""Fused GPU kernels of the reversible blocks, written in Triton; ``dispatch`` says when they are used.

Importing this package does not import Triton; ``dispatch`` does when a CUDA device first asks.

    hidden      a = relu(K y + b),  d = D K u       reads the container of the state or the adjoint itself
    leapfrog    prev <- 2 curr - prev - K^T a       rounding, recurrence and range check in the epilogue
    gradient    d<adjoint, K field>/dK              two stages, no atomics
    haar        one change of level of a group of frames
"""
