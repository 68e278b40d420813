"""The model and the trainer around ESPnet."""
