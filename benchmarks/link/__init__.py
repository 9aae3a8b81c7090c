"""The link between two hosts, measured beside what copies files over a network: `python -m benchmarks --only link`.

Rule: nothing but loopback and network namespaces that the benchmark made itself; every server is its own child, and is
ended by its process id.
"""
