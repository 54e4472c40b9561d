"""From a sweep to its optimum, from optima to a law across batch sizes, and the rules where there is no sweep."""
