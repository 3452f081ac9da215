"""Verifies webhooks, one a line of JSON on standard input, with the reference package from PyPI. It
knows `v1` and bodies that are text. Prints `ok` or `refused` for each."""

import base64
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    item = json.loads(line)
    headers = {
        "webhook-id": item["id"],
        "webhook-timestamp": item["timestamp"],
        "webhook-signature": item["signature"],
    }
    body = base64.b64decode(item["body_base64"])
    try:
        Webhook(item["key"]).verify(body, headers, json_parse=False)
        print("ok")
    except WebhookVerificationError:
        print("refused")
