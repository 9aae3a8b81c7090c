"""With which id a recorder answers: reading it, keeping it, giving it to the failover recorder and taking it back.

Everything known of Milestone's `RecorderConfig.xml` is in here, with its certainty in docs/guide/xprotect-identity.md.
"""
