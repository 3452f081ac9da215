"""slowapi, with its headers on every answer. Argument: PORT"""

import sys

import uvicorn
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

limiter = Limiter(key_func=lambda: "everyone", headers_enabled=True)


@limiter.limit("200/10seconds")
async def ok(request: Request):
    return PlainTextResponse("ok")


app = Starlette(routes=[Route("/", ok, methods=["POST"])])
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
