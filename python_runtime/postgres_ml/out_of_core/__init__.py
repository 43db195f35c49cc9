"""Training on more rows than memory holds: their features are read in parts."""
