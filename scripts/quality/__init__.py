"""What the benchmarks on DAVIS measure: revseg beside what else one could do."""
