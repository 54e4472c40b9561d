"""The fixtures' scripts need libraries that the tests do not: they are run by hand."""

collect_ignore_glob = ["fixtures/*"]
