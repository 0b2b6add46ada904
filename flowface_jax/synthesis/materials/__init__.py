"""What a head's surfaces are made of, and how each of them looks up close."""
