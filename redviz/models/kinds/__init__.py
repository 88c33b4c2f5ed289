"""The kinds of model: reward models, functions of text, process models, policies, critics, pair scorers."""
