"""The demo and what it shares with the benchmarks."""
