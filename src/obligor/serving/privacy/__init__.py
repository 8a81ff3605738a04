"""What is personal: how it is sealed, opened, masked and erased."""
