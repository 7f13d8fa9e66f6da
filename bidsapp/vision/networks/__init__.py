"""Networks whose layers are compared with the brain."""
