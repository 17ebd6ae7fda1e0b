"""The emperor's own process: watches, decides, binds, reports. May die at any time."""
