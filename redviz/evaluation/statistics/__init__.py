"""Intervals, paired differences, Bradley-Terry and the like."""
