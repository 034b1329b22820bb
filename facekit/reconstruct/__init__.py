"""From photographs to a head: shape, texture, light and detail of the person in them."""
