"""Ways to train trials: one after the other in a plain loop, or several at once as one vectorised program."""
