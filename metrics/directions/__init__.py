"""What directions hold: are they stable, are they the concept, do they differ from those that never saw it?"""
