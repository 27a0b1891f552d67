"""Portraits: is the synthesised image a good stimulus?"""
