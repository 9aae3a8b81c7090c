"""Who answers as which recorder: the standby that takes over a primary's id, and the primary that gets it back.

`decide` decides, `standby` and `primary` look and act.
"""
