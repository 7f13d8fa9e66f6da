"""From BOLD to denoised patterns."""
