"""The maths: how a score is split over tokens, and what methods there are."""
