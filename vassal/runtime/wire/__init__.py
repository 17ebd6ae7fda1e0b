"""The wire protocols: bytes to requests and answers to bytes."""
