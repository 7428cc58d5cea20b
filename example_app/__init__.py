"""A photo desk: a small FastAPI application whose photos are sized in its own process."""
