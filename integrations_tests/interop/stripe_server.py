"""localstripe at a listening socket: `python -m integrations_tests.interop.stripe_server SOCKET`.

Its own command listens to the whole network and keeps its objects in a file of /tmp, for the next
time: neither is wanted here.
"""

import socket
import sys


def main() -> None:
    from aiohttp import web
    from localstripe import resources, server

    resources.Store.dump_to_disk = lambda store: None
    web.run_app(server.app, sock=socket.socket(fileno=int(sys.argv[1])), print=None)


if __name__ == "__main__":
    main()
