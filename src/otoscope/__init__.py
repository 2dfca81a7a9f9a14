"""Otoscope."""
