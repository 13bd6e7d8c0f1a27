"""Gates: what can be measured of data before a single step, as plain facts; the checks of lvmcheck judge them."""
