"""Everything that is drawn from numbers: live charts, finished figures, mosaics of pictures, the 3D viewer."""
