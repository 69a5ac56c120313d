"""The embedded model of emoji: what it learns from, its captions, its networks, its folders."""
