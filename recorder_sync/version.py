"""The one place that states which release this is."""

__version__ = "0.1.0"
