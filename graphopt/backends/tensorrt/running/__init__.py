"""From an engine to arrays. Imports no compiler room."""
