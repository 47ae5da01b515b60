"""Readers and writers of model files and data sets, one folder or file per format."""
