"""The configuration: one strict TOML file, every key with its unit and its default.

Rule: a typo is an error that names the file, the place and the nearest key; a value is checked here once, so that
nobody checks it again. Relative paths are relative to the file's folder. Settings are imported from here; the modules
are the keys, their checks, the words for what is wrong, and the reading of a file.
"""

from schema.settings.checks import OWN, name_problem, zone_problem
from schema.settings.keys import Fill, FrigateRules, Gaps, Scan, Settings, StorageSettings, TemplateRules
from schema.settings.reading import load, parse

__all__ = [
    "OWN",
    "Fill",
    "FrigateRules",
    "Gaps",
    "Scan",
    "Settings",
    "StorageSettings",
    "TemplateRules",
    "load",
    "name_problem",
    "parse",
    "zone_problem",
]
