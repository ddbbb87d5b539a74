"""The process that `timing.alone` starts: module, function, arguments in JSON; the result in JSON is the last line."""

import importlib
import json
import sys

if __name__ == "__main__":
    module, function, arguments = sys.argv[1:]
    print(json.dumps(getattr(importlib.import_module(module), function)(*json.loads(arguments))))
