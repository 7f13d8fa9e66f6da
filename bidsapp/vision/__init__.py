"""Vision models and their responses to a film, at the scanner's volumes."""
