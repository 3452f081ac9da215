"""Renders what comes in as JSON lines on standard input, with python-liquid: {"template", "data"}
becomes {"output"} or {"refused": why}."""

import json
import os
import sys
import time

os.environ["TZ"] = "UTC"  # what a time without an offset means must not depend on the machine
time.tzset()

from liquid import Environment  # noqa: E402


def render(environment, case):
    try:
        return {"output": environment.from_string(case["template"]).render(case["data"])}
    except Exception as error:  # whatever it is, the template was refused
        return {"refused": (str(error) or type(error).__name__).splitlines()[0]}


def main():
    environment = Environment()
    for line in sys.stdin:
        print(json.dumps(render(environment, json.loads(line))), flush=True)


main()
