"""The clock offset between two servers, from pictures that both hold: coded key frames are the same bytes on both.

`fingerprint` reads the key frames of a recording, `match` compares two lists, `check` does both for a camera.
"""
