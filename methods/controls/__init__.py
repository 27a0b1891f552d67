"""Controls: what any method must beat before its number means something."""
