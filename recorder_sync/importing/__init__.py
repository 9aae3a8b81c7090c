"""Importing what was filled into the recorder's own storage, while its service is stopped.

`journal` remembers, `importer` stops, moves, starts, and takes back what failed. What goes where is decided in
`backfill.importing`.
"""
