"""Concept probes: methods that give back directions."""
