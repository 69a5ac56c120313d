"""The queue's panel on a page without a browser: the rows that it is told, and presses of its buttons."""

import json


def panel(app):
    """What the panel's script is told."""
    (found,) = [one for one in app.get("bidi_component") if one.proto.component_name.endswith("superdiff_queue")]
    return json.loads(found.proto.json)


def queue(app, *parts):
    """The rows of these parts; of what runs and what waits, if none is named."""
    names = parts or ("running", "waiting")
    return [row for part in panel(app)["parts"] if part["name"] in names for row in part["rows"]]


def press_in_queue(app, what, argument=None):
    """As the script says that a button was pressed, once the server has taken that in."""
    app.session_state["queue-asked"] = [(what, argument)]
    app.run()
    assert not app.exception
