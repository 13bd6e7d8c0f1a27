"""``lvmcheck init``: a suite for somebody else's repository, to start from or from a run that they have."""
