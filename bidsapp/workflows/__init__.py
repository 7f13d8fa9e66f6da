"""The three levels as nipype workflows."""
