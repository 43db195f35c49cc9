"""What the columns are and how they become numbers: the problem, the hold-out, checks, preprocessing."""
