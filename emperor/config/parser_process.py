"""TEMPORARY stand-in by the lead, to try the brain; replace this file completely."""
from emperor.config.vassal_file import load_vassal
class ParserProcess:
    def __init__(self, settings): self._s = settings
    async def parse(self, name, text, path, folder): return load_vassal(name, text, path, folder, self._s)
    async def close(self): pass
