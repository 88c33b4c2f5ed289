"""Stands in for DeepSpeed: OpenRLHF imports it beside what is run here; nothing of it is called."""
