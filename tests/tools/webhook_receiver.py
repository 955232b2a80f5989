"""Takes webhooks on a loopback port and prints for each whether the standardwebhooks library accepts it: PORT SECRET."""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks.webhooks import Webhook


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            data = Webhook(sys.argv[2]).verify(body, headers)
            forged = dict(headers, **{"webhook-id": "another"})
            try:
                Webhook(sys.argv[2]).verify(body, forged)
                verdict = "a forged id passes"
            except Exception:
                verdict = "good"
        except Exception as error:
            data, verdict = None, repr(error)
        print(json.dumps({"verdict": verdict, "data": data}), flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
print("ready", flush=True)
server.serve_forever()
