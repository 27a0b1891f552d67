"""Datasets, one file each: images, the examples that methods learn from, and the truth that metrics check against."""
