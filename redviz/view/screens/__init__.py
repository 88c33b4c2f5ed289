"""The parts that pages are put together from: each draws one block of a screen."""
