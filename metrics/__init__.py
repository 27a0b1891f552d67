"""The metrics of ambench: one file each, a folder per question."""

if __name__ != "ambench.metrics":
    raise ImportError(
        f"import this package as 'ambench.metrics', not as '{__name__}': loaded twice, its classes would differ"
    )
