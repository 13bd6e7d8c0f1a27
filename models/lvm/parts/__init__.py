"""What the vector models share."""
