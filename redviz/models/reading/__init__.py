"""From text to ids, spans and offsets; from tokens to bytes and back."""
