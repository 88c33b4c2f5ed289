"""Stands in for flash-attn: OpenRLHF imports it beside what is run here; nothing of it is called."""
