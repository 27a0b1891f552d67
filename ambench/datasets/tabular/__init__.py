"""Rows of numbers with an answer for each: where they come from, what they ask, and which part each belongs to."""
