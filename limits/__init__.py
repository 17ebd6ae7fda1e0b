"""Limits a process cannot leave: rlimits, identity, capabilities, namespaces.

A library of its own: it imports nothing of emperord.
"""
