"""What the benchmarks of the development chain share: the workload, and the peers beside us."""
