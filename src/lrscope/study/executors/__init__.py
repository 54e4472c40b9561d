"""Who does the work: this process, worker processes on this machine, or a Ray cluster."""
