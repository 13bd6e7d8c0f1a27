"""The halting language model of the Cognate documents: one idea a file, every fault of the original project removed."""
