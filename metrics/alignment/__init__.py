"""Concept alignment: is the concept in the image, and where?"""
