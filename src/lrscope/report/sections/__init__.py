"""The sections of a study's page, one file per subject: each adds itself to a page, or nothing where it has no data."""
