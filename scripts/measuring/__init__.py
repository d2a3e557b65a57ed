"""What scripts/gpu runs: checks and measurements, each in a process of its own with a limit of time.

parts       which, in which order, and how long each may take
agreement   a training on the device beside the same on the CPU
steps       seconds, peak and waits of training steps, a feature film among them, and frames a second of inference
blocks      a leapfrog block on each level beside its roofline
report      the sections of docs/results/gpu.md
"""

import harness  # noqa: F401
