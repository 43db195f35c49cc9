"""How good a fitted pipeline is: metrics, gates, the serving version's score, distributions for drift."""
