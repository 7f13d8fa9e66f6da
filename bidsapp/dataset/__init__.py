"""Reading the raw data, the derivatives, the film and the atlas; writing the outputs."""
