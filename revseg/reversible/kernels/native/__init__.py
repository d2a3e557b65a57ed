"""Kernels for the CPU, in C; PyTorch computes where there is no compiler.

    level.c     a change of level of a group of frames
    kick.c      prev <- 2 curr - prev - f of a force that PyTorch has convolved; copies into another type
    opening.c   bytes of a video to a field on the grid, and the gradient of that

``library`` compiles and loads them.
"""
