"""The law that the product cites, as dated data: rules with their status, and packs of what they ask for."""
