"""Cost: what did the explanation take?"""
