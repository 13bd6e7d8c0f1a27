"""The documentation as a site: ``make site`` (Sphinx with MyST, the extra ``docs``)."""

project = "lvmcheck"
extensions = ["myst_parser"]
exclude_patterns = ["README.md"]  # included by the index
myst_heading_anchors = 4
html_theme = "alabaster"
html_show_copyright = False
