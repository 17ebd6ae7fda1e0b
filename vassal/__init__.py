"""The vassal: its master, and the runtime that is loaded into the tenant's interpreter."""
