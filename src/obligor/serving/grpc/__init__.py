"""The gRPC door of the decision service."""
