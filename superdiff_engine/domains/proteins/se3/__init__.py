"""Published networks of residue frames, FrameDiff and Proteus: rebuilt, and read from their authors' files."""
