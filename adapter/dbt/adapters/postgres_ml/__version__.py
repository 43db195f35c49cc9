"""The one version; setup.py, dbt and the packages read it here."""

version = "0.1.0"
