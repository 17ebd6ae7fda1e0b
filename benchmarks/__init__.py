"""Ours beside uWSGI and gunicorn: python -m benchmarks [NAME…] [--quick].

Everything is measured from outside, in one run on one machine, in alternating order. Compare
within a table only.
"""
