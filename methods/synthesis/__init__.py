"""Activation maximization: methods that give back portraits."""
