"""Programs that the cluster runs, in Python 3.11 or later with nothing but its standard library."""
