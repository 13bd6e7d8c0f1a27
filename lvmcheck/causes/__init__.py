"""Root causes, one a file; the module name is the name of the cause."""
