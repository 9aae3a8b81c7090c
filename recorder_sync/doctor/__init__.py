"""`recorder-sync doctor`: whether this host has what the product needs, and what to do where it has not.

Looks and changes nothing. `facts` gathers, `judge` decides, `examine` puts both together.
"""
