"""The methods of ambench: one file each, a folder per family."""

if __name__ != "ambench.methods":
    raise ImportError(
        f"import this package as 'ambench.methods', not as '{__name__}': loaded twice, its classes would differ"
    )
