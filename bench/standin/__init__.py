"""A stand-in of studyforrest: true names, sizes and events, with planted responses."""
