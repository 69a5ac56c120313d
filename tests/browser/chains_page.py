"""A page with the studio's 3D viewer and two backbones in it, straight lines of residues."""

import numpy as np

from studio.charts.viewer import chain_frame, draw_viewer

residue = np.array([[-1.2, 0.8, 0], [0, 0, 0], [1.2, 0.8, 0], [1.2, 2.0, 0]])
line = 3.8 * np.arange(12)[:, None, None] * np.array([1, 0, 0]) + residue
colours = [["#ff0000"] * 12, ["#00ff00"] * 12]
# The second says a structure that there is not.
kinds = ["HHHHHH------", "</script><script>window.hit = 1</script>"[:12]]
scene = chain_frame([line, line + np.array([0, 9, 0])], kinds, colours)
draw_viewer([scene], "chains", "chains", "Two chains", "cartoon")
