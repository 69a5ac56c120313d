"""An SVG of a figure read back, by its XML alone: its texts, and its lines in the units of its axes."""

import re
from xml.etree import ElementTree

import numpy as np

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


def texts(svg):
    """What is written in it, in the order of the file."""
    return ["".join(one.itertext()) for one in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def ticks(svg, axis):
    """(positions in the file, values) of an axis's labelled ticks, [n] each; axis: "x" or "y"."""
    found = []
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if not re.fullmatch(rf"{axis}tick_\d+", group.get("id", "")):
            continue
        mark = next(group.iter(f"{SVG}use"), None)
        words = ["".join(one.itertext()) for one in group.iter(f"{SVG}text")]
        if mark is not None and words:
            found.append((float(mark.get(axis)), float(words[0].replace("−", "-"))))
    return np.array(found).T


def raw(svg, name):
    """The points of the line with this id, [n, 2], as they stand in the file."""
    group = next(one for one in ElementTree.fromstring(svg).iter(f"{SVG}g") if one.get("id") == name)
    path = next(group.iter(f"{SVG}path")).get("d")
    return np.array([[float(part) for part in pair] for pair in re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", path)])


def line(svg, name, log=False):
    """The points of the line with this id, [n, 2], by the ticks of the axes; log: whether the axis across is."""
    points = raw(svg, name)
    for column, axis in enumerate("xy"):
        places, values = ticks(svg, axis)
        scaled = np.log(values) if log and axis == "x" else values
        slope, start = np.polyfit(places, scaled, 1)
        read = slope * points[:, column] + start
        points[:, column] = np.exp(read) if log and axis == "x" else read
    return points
