"""The record of a training: the MLflow run, its files, the model card and the plots."""
