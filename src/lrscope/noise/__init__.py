"""From gradient norms to the gradient noise scale, and from that to the critical batch size."""
