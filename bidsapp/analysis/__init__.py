"""What an analysis is: one validated YAML file."""
