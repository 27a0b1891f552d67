"""Faithfulness: whether a map says what the model does."""
