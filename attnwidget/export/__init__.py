"""Results as files: one self-contained HTML page, pictures for papers, the views of CircuitsVis."""
