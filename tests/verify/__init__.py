"""Books that somebody has tampered with, and what verify says of them."""
