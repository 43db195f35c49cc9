"""Forecasts of time series: the flow of `pipeline.py` where no program scores rows.

Read `pipeline` first, and docs/decisions/0040-a-forecast-has-a-pipeline-of-its-own.md for why.
"""
