"""The film of the demo: a rolling barrel, made with known masks."""
