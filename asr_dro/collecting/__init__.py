"""Scores of many experiments in one table."""
