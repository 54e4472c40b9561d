"""What the pages draw, as plain data: pure functions from results to frozen rows; nothing here knows a chart."""
