"""Text from outside, made fit to be shown, and the only place that prints."""
