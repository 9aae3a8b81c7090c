"""Taking what was filled beside a recorder's tree into it, while the recorder is stopped, and taking it out again.

`choose` decides what goes where, `move` does it. Stopping and starting the recorder is not known here.
"""
