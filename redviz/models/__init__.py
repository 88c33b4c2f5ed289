"""Reward models: load, encode, observe, check."""
