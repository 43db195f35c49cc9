"""IEEE 754 double arithmetic in SQL, bit for bit."""
