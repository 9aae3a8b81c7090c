"""What the service is to its host: a unit of the service manager, a guest beside the recorder.

Rule: nothing here knows of recordings. What a platform lacks is said as a value or an error, and every module can be
imported on every platform.
"""
