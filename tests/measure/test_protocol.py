import os
import threading

import pytest

from graphopt.measure import protocol


@pytest.fixture
def pipe():
    read, write = os.pipe()
    ends = {"read": read, "write": write}
    yield ends
    for descriptor in ends.values():
        os.close(descriptor)


def test_messages_arrive_whole_and_in_order(pipe):
    messages = [{"n": 1}, {"text": "ä\n\x00"}, {"samples": list(range(50_000))}]
    writer = threading.Thread(target=lambda: [protocol.send(pipe["write"], m) for m in messages])
    writer.start()
    assert [protocol.receive(pipe["read"], seconds=30) for _ in messages] == messages
    writer.join()


def test_the_end_of_the_pipe_is_an_eof_error(pipe):
    os.close(pipe.pop("write"))
    with pytest.raises(EOFError):
        protocol.receive(pipe["read"])


def test_half_a_message_is_an_eof_error(pipe):
    os.write(pipe["write"], protocol.HEADER.pack(protocol.MAGIC, 100) + b"{")
    os.close(pipe.pop("write"))
    with pytest.raises(EOFError):
        protocol.receive(pipe["read"], seconds=30)


def test_silence_is_a_timeout(pipe):
    with pytest.raises(TimeoutError):
        protocol.receive(pipe["read"], seconds=0.05)


def test_a_dead_writer_is_noticed_though_the_pipe_stays_open(pipe):
    with pytest.raises(EOFError):
        protocol.receive(pipe["read"], seconds=600, alive=lambda: False)


def test_what_a_writer_sent_before_it_died_is_read(pipe):
    protocol.send(pipe["write"], {"last": "words"})
    assert protocol.receive(pipe["read"], seconds=600, alive=lambda: False) == {"last": "words"}


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        protocol.HEADER.pack(protocol.MAGIC, 0xFFFFFFFF),
        protocol.HEADER.pack(protocol.MAGIC, 3) + b"{{{",
        protocol.HEADER.pack(protocol.MAGIC, 2) + b"[]",
        protocol.HEADER.pack(protocol.MAGIC, 2) + b"\xff\xfe",
    ],
)
def test_garbage_is_refused(pipe, data):
    os.write(pipe["write"], data)
    with pytest.raises(ValueError, match="message"):
        protocol.receive(pipe["read"], seconds=30)
