"""The reversible mathematics: grid, Haar transform, symmetric layer, leapfrog, sequence."""
