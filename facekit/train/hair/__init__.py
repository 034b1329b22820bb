"""The hair stage: compress the pack's hair cards, and precompute their coverage and shading of the head."""
