"""Reads what is given on standard input by its format, and prints it as JSON.

`openmetrics`: the families as prometheus_client's strict parser sees them.
`yaml`: a document of YAML.
"""

import json
import sys

text = sys.stdin.read()
if sys.argv[1] == "openmetrics":
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    families = [
        {
            "name": family.name,
            "type": family.type,
            "help": family.documentation,
            "samples": [
                {"name": sample.name, "labels": sample.labels, "value": sample.value}
                for sample in family.samples
            ],
        }
        for family in text_string_to_metric_families(text)
    ]
    json.dump(families, sys.stdout)
else:
    import yaml

    json.dump(yaml.safe_load(text), sys.stdout)
