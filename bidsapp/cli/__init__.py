"""The command lines: words into settings, nothing else."""
