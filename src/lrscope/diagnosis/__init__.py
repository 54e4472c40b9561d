"""From a curve to a regime: features, a small calibrated model in model.json, and sentences that say why."""
