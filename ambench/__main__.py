"""`python -m ambench` is `ambench`."""

from ambench.cli import main

if __name__ == "__main__":
    main()
