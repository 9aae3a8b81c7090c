"""The link between two hosts: what each service tells the other, and how each knows who the other is.

Rule: read-only towards the other side. A peer is who holds the key that was exchanged at pairing, and is trusted with
nothing else: not with paths, sizes, counts, or with answering at all (docs/design/0013-link.md).
"""
