"""The emperor's decisions. Pure: values in, values out; no clock, no descriptor."""
