"""The relay passes on what either side says, and waits for the other."""

import subprocess
import sys

import pytest

# In a process of its own: the relay is there for as long as its process is.
PROGRAM = """
import socket, sys, threading
from nasjax.run.hosts import relay

def echo(server):
  connection, _ = server.accept()
  while data := connection.recv(1 << 16):
    connection.sendall(data.upper())

server = socket.create_server(('127.0.0.1', 0))
at = server.getsockname()[1]
if sys.argv[1] == 'later':
  server.close()
port = relay.opened('127.0.0.1', at)
near = socket.create_connection(('127.0.0.1', port), 20)
near.sendall(b'abc')
if sys.argv[1] == 'later':
  server = socket.create_server(('127.0.0.1', at))
threading.Thread(target=echo, args=(server,), daemon=True).start()
assert near.recv(100) == b'ABC'
near.sendall(b'defg')
assert near.recv(100) == b'DEFG'
print('passed on')
"""


@pytest.mark.parametrize('server', ['there', 'later'])
def test_what_is_sent_arrives_and_the_answer_comes_back(server):
  said = subprocess.run(
    [sys.executable, '-c', PROGRAM, server],
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert said.stdout == 'passed on\n', said.stderr
