"""MuGrokfast: Muon for hidden matrices, AdamW for the rest, a low-pass filter on every gradient."""
