"""The Python library that keyhole replaces, used as its users do: VERB [ROUNDS], with its settings as JSON on stdin.

Prints one JSON document on stdout:
  write  the library's own report of CREATE
  read   the library's own report of READ
  bench  milliseconds of init + read + logout, one number per round, all in this process
  rotate milliseconds of init + read + rotate + write + logout, likewise: how the library moves a Secret to a new version
"""

import json
import logging
import sys
import time

from secretmanager import SecretManager

SOURCE = "KUBEVAULT"


def main(verb, rounds, settings):
    config, secret = settings["config"] | {"SOURCE": SOURCE}, settings["secret"]
    if verb == "bench":
        return [timed(config, secret, read) for _ in range(rounds)]
    if verb == "rotate":
        return [timed(config, secret, rotate) for _ in range(rounds)]
    manager = SecretManager(config)
    try:
        if verb == "write":
            return manager.execute(SOURCE, "CREATE", manager, secret, settings["plaintext"])
        return manager.execute(SOURCE, "READ", manager, secret)
    finally:
        manager.execute(SOURCE, "LOGOUT", manager)


def timed(config, secret, act):
    started = time.perf_counter()
    manager = SecretManager(config)
    act(manager, secret)
    manager.execute(SOURCE, "LOGOUT", manager)
    return (time.perf_counter() - started) * 1000


def read(manager, secret):
    return succeeded(manager.execute(SOURCE, "READ", manager, secret))["data"]


def rotate(manager, secret):
    plaintext = json.dumps(read(manager, secret))
    succeeded(manager.execute(SOURCE, "ROTATE", manager, secret["transit_key"]))
    succeeded(manager.execute(SOURCE, "CREATE", manager, secret, plaintext))


def succeeded(report):
    if report["status"] != "success":
        raise SystemExit("the library did not succeed")
    return report


if __name__ == "__main__":
    logging.getLogger().setLevel(logging.WARNING)
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    json.dump(main(sys.argv[1], rounds, json.load(sys.stdin)), sys.stdout)
