"""A run's record, `Curve`, and a reader for each format that people's logs have."""
