"""Rules: functions that only read the text."""
