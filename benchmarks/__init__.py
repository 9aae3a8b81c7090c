"""What a fill costs, measured beside what people use instead: `python -m benchmarks` from a checkout.

Rule: benchmarks measure, tests do not time. Every figure comes from a process of its own, in rounds that take turns,
on the same files and the same disk. Method and results: docs/benchmarks.md.
"""
