"""Speed of the heavy stages, as ratios within one run on one machine."""
