"""flask-limiter, a server for each of its strategies. Arguments: STRATEGY:PORT ..."""

import sys
import threading

from flask import Flask
from flask_limiter import Limiter
from waitress import serve


def app_with(strategy):
    app = Flask(strategy)
    Limiter(
        key_func=lambda: "everyone",
        app=app,
        strategy=strategy,
        default_limits=["200 per 10 seconds"],
        headers_enabled=True,
        storage_uri="memory://",
    )

    @app.route("/", methods=["POST"])
    def ok():
        return "ok"

    return app


for argument in sys.argv[1:]:
    strategy, port = argument.split(":")
    options = {"host": "127.0.0.1", "port": int(port), "threads": 4}
    threading.Thread(target=serve, args=(app_with(strategy),), kwargs=options).start()
