"""What other programs read: nothing here yet."""
