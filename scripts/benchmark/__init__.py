"""What scripts/benchmark.py measures: revseg beside its peers, one process per measurement.

case            what one measurement runs: peer, size, depth, training or inference
same_network    revseg's network under plain autograd, torch.utils.checkpoint, memcnn, and in naive fp32
peers           every peer by name, with one interface: step, infer, FLOPs
measurement     one process: peak memory and times of one case
group           measurements side by side, their timed steps interleaved
rows            which cases are measured at which sizes
largest         the largest trainable volume in a given memory
roofline        forward and backward of one block per level against bandwidth and arithmetic
results         what has been measured, kept in a JSON file
targets         the lines of the issue's table, computed from the results
report, plots   docs/benchmarks.md and its pictures
"""
