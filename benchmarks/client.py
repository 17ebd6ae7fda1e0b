"""The smallest HTTP client: one request, is the answer 200?"""

import asyncio
import socket
import time

# A unix socket's path, or host and port.
Address = str | tuple[str, int]

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def is_ok(answer: bytes) -> bool:
    return answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))


def answers(address: Address, timeout: float = 5.0) -> bool:
    """Return whether one request is answered with 200."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(address)
            connection.sendall(REQUEST)
            return is_ok(connection.recv(4096))
        except OSError:
            return False


def wait_for_answer(address: Address, timeout: float = 60.0) -> float:
    """Ask until there is a 200; return the monotonic time of it."""
    deadline = time.monotonic() + timeout
    while not answers(address):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{address}: no 200 within {timeout} s")
        time.sleep(0.002)
    return time.monotonic()


def wait_for_silence(address: Address, timeout: float = 60.0) -> None:
    """Wait until nobody listens any more."""
    deadline = time.monotonic() + timeout
    while answers(address, timeout=1.0):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{address}: still answers after {timeout} s")
        time.sleep(0.05)


async def first_answers(paths: list[str], timeout: float) -> list[float]:
    """Ask every unix socket until it answers 200; return the monotonic times, sorted.

    Twice a second, so that asking stays cheap beside what is measured.
    """

    async def one(path: str) -> float:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(path)
                try:
                    writer.write(REQUEST)
                    if is_ok(await reader.read(4096)):
                        return time.monotonic()
                finally:
                    writer.close()
            except OSError:
                pass
            await asyncio.sleep(0.5)

    return sorted(await asyncio.wait_for(asyncio.gather(*map(one, paths)), timeout))
