"""Has tenants' files parsed where they can harm nobody."""
