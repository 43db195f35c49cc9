"""From the training query to rows in memory: one consistent copy, its digest, its order."""
