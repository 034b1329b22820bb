"""The hair stage: the pack's cards, made small; and what the head needs to know of them."""
