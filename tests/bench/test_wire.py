"""The client that times the servers reads what they answer, or says that it cannot."""

import socket
import threading
from collections.abc import Callable

import pytest

from bench.wire import Answer, Connection, WireError, request


def answered(*chunks: bytes) -> Callable[[], Answer]:
    """An exchange with a server that sends these chunks and closes the connection."""
    listening = socket.create_server(("127.0.0.1", 0))
    asked = request("GET", "/", {})

    def serve() -> None:
        peer, _ = listening.accept()
        with peer, listening:
            assert peer.recv(1 << 16) == asked
            for chunk in chunks:
                peer.sendall(chunk)

    serving = threading.Thread(target=serve)
    serving.start()
    connection = Connection(listening.getsockname()[1])

    def exchange() -> Answer:
        try:
            return connection.exchange(asked)
        finally:
            connection.close()
            serving.join()

    return exchange


def test_a_body_is_read_to_its_announced_end_however_it_arrives() -> None:
    body = bytes(3 << 20)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    answer = answered(head[:20], head[20:] + body[:5], body[5:])()
    assert answer == Answer(200, body)


def test_an_empty_answer_has_an_empty_body() -> None:
    assert answered(b"HTTP/1.1 204 No\r\ncontent-length: 0\r\n\r\n")() == Answer(204, b"")


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", WireError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", WireError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", ConnectionError),
        (b"", ConnectionError),
    ],
)
def test_what_cannot_be_timed_honestly_is_an_error(sent: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        answered(sent)()


def test_a_request_carries_its_length_only_with_a_body() -> None:
    assert b"Content-Length" not in request("GET", "/", {})
    assert request("POST", "/x", {"A": "b"}, b"{}").endswith(b"Content-Length: 2\r\n\r\n{}")
