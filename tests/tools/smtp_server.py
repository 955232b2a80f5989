"""A mail server on a loopback port that prints each mail it takes as a line of JSON: PORT [CERTIFICATE KEY]."""

import json
import ssl
import sys
import threading
from email import message_from_bytes
from email.policy import default

from aiosmtpd.controller import Controller


class Sink:
    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=default)
        parts = [part for part in mail.walk() if not part.is_multipart()]
        print(
            json.dumps(
                {
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "encrypted": session.ssl is not None,
                    "message_id": mail["message-id"],
                    "subject": mail["subject"],
                    "date": mail["date"],
                    "types": [part.get_content_type() for part in parts],
                    "text": parts[0].get_content(),
                }
            ),
            flush=True,
        )
        return "250 OK"


port = int(sys.argv[1])
tls = None
if len(sys.argv) > 2:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(sys.argv[2], sys.argv[3])
controller = Controller(
    Sink(), hostname="127.0.0.1", port=port, tls_context=tls, require_starttls=tls is not None
)
controller.start()
print("ready", flush=True)
threading.Event().wait()
