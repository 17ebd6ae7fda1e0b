"""Ours beside uWSGI and gunicorn: python -m benchmarks [NAME…] [--quick].

Everything is measured from outside, in one run on one machine: at the same time where it is
about waiting, in alternating rounds where it is about work. Compare within a table only.
"""
