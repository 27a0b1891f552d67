"""Texture versus shape: which cue decides?"""
