"""What is personal: how it is sealed, opened, masked, told and erased."""
