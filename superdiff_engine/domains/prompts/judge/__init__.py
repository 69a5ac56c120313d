"""Who says what a picture shows: the concept classifier, how it is trained, and CLIP in its place."""
