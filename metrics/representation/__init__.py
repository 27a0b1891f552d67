"""Representation: how do a network's features lie, and do they share directions?"""
