"""Put on a server's path, this makes its event loop stop for a moment at some of the events of a script's run, as on a machine that
does too much. Messages to the browser then come late, and meet requests that left before them.
"""

import importlib.abc
import os
import random
import sys
import time

SOME, PAUSE = 0.05, 0.7  # share of the events, seconds


def slow_down() -> None:
    from streamlit.runtime.app_session import AppSession

    handle, chance = AppSession._handle_scriptrunner_event_on_event_loop, random.Random(int(os.environ["SLOW_SEED"]))

    def late(self, *event, **more):
        if chance.random() < SOME:
            time.sleep(PAUSE)
        return handle(self, *event, **more)

    AppSession._handle_scriptrunner_event_on_event_loop = late


class AtTheServersImport(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "streamlit.web.bootstrap":
            sys.meta_path.remove(self)
            slow_down()


sys.meta_path.insert(0, AtTheServersImport())
