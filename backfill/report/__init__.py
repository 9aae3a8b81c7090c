"""Showing what is: time lines, gaps, totals, outages and refusals, for people and for programs.

Rule: views get values only - no ledger, no clock, no disk - so that the same values always give the same text.
"""
