"""The benchmark's suites: ours beside what people would use instead."""
