"""Trained models behind HTTP (extra ``serve``)."""
