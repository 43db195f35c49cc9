"""One candidate fitted as a whole pipeline: by auto's choice, by the config, or by a model's own code."""
