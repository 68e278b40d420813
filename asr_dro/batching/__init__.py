"""Batches and schedules, computed from metadata only."""
