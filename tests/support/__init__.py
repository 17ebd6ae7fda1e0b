"""Helpers of the tests: waiting, process trees, real servers."""
