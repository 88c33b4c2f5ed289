"""The Compare screen: responses of one prompt, or one response under two models."""
