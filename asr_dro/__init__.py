"""Group-robust multilingual speech recognition recipes on top of ESPnet."""

__version__ = "0.1.0"
