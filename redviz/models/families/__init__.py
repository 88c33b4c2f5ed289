"""Adapters: one small file for each family of reward models that is not a plain sequence-classification model."""
