"""The model card: the page that people read in MLflow."""
