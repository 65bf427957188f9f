"""What the tests of a project on AWS run in its environment, by `python -c`."""

# A verb once for each environment of a list on standard input, as the command line runs it, in one process: most of
# what a verb takes is to import it. A variable of null is removed. LET_IN is moto's: how many calls it believes from
# then on, whoever makes them. Prints a list of [exit code, what was said].
VERBS = """
import contextlib, io, json, os, sys, urllib.request
from flight_delays.cli import main

def let_in(calls):
    url, kind = os.environ["MOTO"] + "/moto-api/reset-auth", {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(url, calls.encode(), kind, method="POST")).close()

words, said = sys.argv[1:], []
os.environ["MOTO"] = os.environ["AWS_ENDPOINT_URL"]
try:
    for changes in json.load(sys.stdin):
        for name, value in changes.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        if "LET_IN" in changes:
            let_in(changes["LET_IN"])
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            sys.argv = ["flight-delays", *words]
            try:
                main()
            except SystemExit as ended:
                said.append([ended.code or 0, text.getvalue()])
finally:
    let_in("1000000")
json.dump(said, sys.stdout)
"""
