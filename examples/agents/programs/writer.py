"""`agent/writer`, a worker in Python, of the standard library alone: writes letters for people.

It knows nothing of certificates and tokens. Its sidecar lets in who may call, and says in a header of its own who that is; what it calls
itself, it calls through a socket of the sidecar. Nobody but the sidecar gets at the program's own socket (mode 0600), so it takes the
header's word. Who has to prove it verifies the signature (docs/sidecar.md).
"""

import base64
import json
import os
import socket
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from socketserver import UnixStreamServer
from urllib.parse import quote


class Stock(HTTPConnection):
    """The stock, as the sidecar has it here: who answers there, and who is calling, is the sidecar's business."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["STOCK_SOCKET"])


def principal(headers):
    payload = headers["Doorward-Principal"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))


def item_in(body):
    """Whoever may call may still write anything. `.` and `..` would be other places in a path."""
    try:
        item = json.loads(body)["item"]
        item.encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return item if 0 < len(item) <= 100 and item not in (".", "..") else None


class Writer(BaseHTTPRequestHandler):
    def do_POST(self):
        item = item_in(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        caller = principal(self.headers)
        if "#" not in caller["sub"]:
            return self.answer(403, {"error": "letters are written for people"})
        print(f"handled POST {self.path} of {caller['client_id']}", flush=True)
        if item is None:
            return self.answer(400, {"error": "expected the name of an item"})
        stock = Stock("stock")
        stock.request("GET", f"/stock/{quote(item, safe='')}")
        looked = stock.getresponse()
        if looked.status != 200:
            return self.answer(502, {"error": "the look failed", "status": looked.status})
        stored = json.loads(looked.read())["stored"]
        person = caller["sub"].split("#")[1]
        self.answer(200, {"letter": f"We have {stored} {item}. Yours, {person}"})

    def answer(self, status, document):
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words):
        pass


class Server(UnixStreamServer):
    def get_request(self):
        return self.socket.accept()[0], ("the sidecar", 0)


os.umask(0o077)
with Server(os.environ["WRITER_SOCKET"], Writer) as server:
    print("listening", flush=True)
    server.serve_forever()
