"""Compiles system call filters. Pure, and large: only the brain imports it, never a master.

`filters` knows names and groups, `rules` what is decided by arguments, `bpf` writes the
program, `compile` puts them together.
"""
