"""Pictures that lie in a folder: what is there, what its table says, which part each belongs to, and their pixels."""
