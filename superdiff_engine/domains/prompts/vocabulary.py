"""Which of the emoji concepts the text-to-image model learns: those that a person tells apart at 64 pixels.

Of 948 everyday concepts about half differ from another one in a detail (five moons, twelve trains, eighty faces,
mailboxes with the flag up or down), or have no looks of their own. The model is small and two CPU cores train it, so
its time goes to the others. The judge of its pictures (scorer.py) knows all 948: a picture must be told from those that
are left out, too.
"""

from __future__ import annotations

from .emoji import Concept


def _names(listed: str) -> frozenset[str]:
    """Of a text with commas between names, wherever its lines end."""
    return frozenset(" ".join(listed.split()).split(", "))


#: The faces that are learned, by name; the others are a mouth or an eyebrow away from one of these.
FACES = _names("""
    alien, alien monster, clown face, cold face, cowboy hat face, enraged face, exploding head, face screaming
    in fear, face with medical mask, face with tears of joy, face with tongue, ghost, grinning cat, grinning
    face, hot face, loudly crying face, nauseated face, nerd face, neutral face, partying face, pile of poo,
    robot, see-no-evil monkey, skull, sleeping face, smiling cat with heart-eyes, smiling face with halo,
    smiling face with heart-eyes, smiling face with horns, smiling face with sunglasses, thinking face,
    upside-down face
""")
#: What is left out of the other kinds, by name.
LEFT_OUT = {
    "game": """
        joker, magic wand, water pistol
    """,
    "weather": """
        closed umbrella, cloud with lightning, cloud with lightning and rain, cloud with snow, cyclone, first
        quarter moon face, fog, full moon face, last quarter moon face, milky way, new moon, new moon face,
        snowman without snow, sun behind large cloud, sun behind rain cloud, sun behind small cloud,
        thermometer, umbrella on ground, umbrella with rain drops, wind face
    """,
    "place": """
        bank, brick, bridge at night, building construction, camping, cityscape, cityscape at dusk,
        convenience store, department store, derelict house, foggy, globe showing americas, globe showing
        asia-australia, globe with meridians, hindu temple, hospital, hot springs, house with garden, houses,
        hut, japanese castle, kaaba, mosque, national park, night with stars, office building, playground
        slide, post office, rock, school, snow-capped mountain, stadium, sunrise, sunrise over mountains,
        sunset, synagogue, tokyo tower, wedding
    """,
    "plant": """
        empty nest, fallen leaf, herb, leaf fluttering in wind, rosette, shamrock, sheaf of rice, white
        flower, wilted flower
    """,
    "food": """
        amphora, bento box, bowl with spoon, canned food, cooked rice, cooking, curry rice, cut of meat,
        falafel, flatbread, fondue, fork and knife with plate, jar, oden, pot of food, rice cracker, roasted
        sweet potato, salt, shallow pan of food, spoon, stuffed flatbread, tamale
    """,
    "dessert": """
        custard, shaved ice
    """,
    "drink": """
        beverage box, clinking beer mugs, clinking glasses, ice, mate, pouring liquid, sake, teacup without
        handle
    """,
    "celebration": """
        admission tickets, carp streamer, confetti ball, japanese dolls, pine decoration, red envelope,
        reminder ribbon, ribbon, sparkles, tanabata tree, wind chime
    """,
    "sport": """
        1st place medal, 2nd place medal, 3rd place medal, cricket game, field hockey, flying disc, goal net,
        lacrosse, martial arts uniform, military medal, rugby football, running shirt, softball
    """,
    "music": """
        control knobs, level slider, long drum, musical notes, musical score, muted speaker, postal horn
    """,
    "device": """
        camera with flash, computer disk, diya lamp, dvd, fax machine, film frames, film projector, low
        battery, magnifying glass tilted right, movie camera, optical disk, pager, printer, telephone
        receiver, trackball, videocassette
    """,
    "book": """
        black nib, blue book, bookmark, bookmark tabs, fountain pen, green book, label, ledger, memo,
        notebook, notebook with decorative cover, orange book, page facing up, page with curl, rolled-up
        newspaper
    """,
    "animal": """
        badger, beetle, bison, black bird, black cat, boar, cockroach, cricket, dodo, donkey, ewe,
        front-facing baby chick, goose, guide dog, leopard, mammoth, microbe, mosquito, mouse, orangutan, ox,
        oyster, pig nose, poodle, rat, service dog, spouting whale, two-hump camel, water buffalo, wing, worm
    """,
    "body part": """
        lungs, mouth, nose, tongue
    """,
    "clothing": """
        ballet shoes, bikini, briefs, clutch bag, coat, flat shoe, gloves, goggles, hair pick, hiking boot,
        kimono, lab coat, man's shoe, military helmet, one-piece swimsuit, prayer beads, purse, rescue
        worker's helmet, safety vest, sari, scarf, shopping bags, shorts, socks, thong sandal, woman's
        clothes, woman's sandal
    """,
    "heart": """
        beating heart, black heart, brown heart, grey heart, growing heart, heart with ribbon, light blue
        heart, mending heart, orange heart, pink heart, revolving hearts, sparkling heart, two hearts, white
        heart
    """,
    "vehicle": """
        aerial tramway, airplane arrival, airplane departure, articulated lorry, auto rickshaw, bullet train,
        bus stop, construction, ferry, high-speed train, light rail, manual wheelchair, metro, minibus,
        monorail, motor boat, motorized wheelchair, motorway, mountain cableway, mountain railway, oil drum,
        oncoming automobile, oncoming bus, oncoming police car, oncoming taxi, passenger ship, pickup truck,
        police car light, railway car, railway track, satellite, seat, ship, small airplane, speedboat, sport
        utility vehicle, station, suspension railway, train, tram car, trolleybus, vertical traffic light
    """,
    "office": """
        bar chart, card file box, card index, card index dividers, chart decreasing, chart increasing,
        clipboard, file cabinet, file folder, linked paperclips, locked with key, locked with pen, old key,
        open file folder, pushpin, round pushpin, spiral calendar, spiral notepad, straight ruler, tear-off
        calendar, triangular ruler, unlocked, wastebasket
    """,
    "tool": """
        alembic, boomerang, broken chain, chains, clamp, crutch, drop of blood, hammer and pick, hammer and
        wrench, hook, link, nut and bolt, petri dish, pick, satellite antenna, test tube, white cane, x-ray
    """,
    "mail": """
        ballot box with ballot, closed mailbox with lowered flag, inbox tray, open mailbox with lowered flag,
        open mailbox with raised flag, outbox tray
    """,
    "household": """
        bubbles, elevator, fire extinguisher, hourglass not done, lotion bottle, mouse trap, razor, safety
        pin, soap, sponge, timer clock
    """,
    "money": """
        receipt
    """,
    "art": """
        knot, sewing needle
    """,
    "vegetable": """
        beans, ginger root
    """,
}
_ELSEWHERE = frozenset[str]().union(*(_names(listed) for listed in LEFT_OUT.values()))


def is_learned(concept: Concept) -> bool:
    """Whether the text-to-image model is trained on this concept."""
    return concept.name in FACES if concept.kind == "face" else concept.name not in _ELSEWHERE
