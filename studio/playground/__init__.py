"""The page Playground: experts that are dragged about in the plane, and samples that follow."""
