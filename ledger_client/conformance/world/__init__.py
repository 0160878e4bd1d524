"""The simulator: a manufacturer in memory whose every document can be made wrongly."""
