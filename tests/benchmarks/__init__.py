"""The parts of benchmarks that others build on."""
