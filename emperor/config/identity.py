import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    uid: int
    gid: int
    groups: tuple[int, ...]
    user: str
    home: str
    shell: str
