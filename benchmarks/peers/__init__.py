"""Queue libraries, each behind the same command line (``benchmarks.driver``) in an environment of its own."""
