"""What is known of a value before a row comes: constants, few values, thresholds. It makes SQL shorter."""
