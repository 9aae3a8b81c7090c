"""Finding what is missing and bringing it over: layouts, scan, gaps, plan, fill, verify, report.

Rule: four kinds of module, and no module is two of them: observe (scan, watch, probe), decide (gaps, plan, seal:
pure, no disk, no database, no clock), act (transfer, landing, fill), report. Imports `schema`, never `recorder_sync`.
"""
