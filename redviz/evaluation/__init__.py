"""Is a credit true? Faithfulness and agreement."""
