"""Two runs side by side: what was changed, where their curves part, whether that is more than seeds differ, and why."""
