"""cgroup v2: which tree is ours, what is written into it, who is in it, what it counted.

`facts` looks, `writes` and `names` decide (pure), `tree` does, `counters` and `watch` tell.
"""
