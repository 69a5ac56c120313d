"""Which of the emoji concepts the text-to-image model learns: everyday ones that a person tells apart at 64 pixels.

Of 948 everyday concepts about half differ from another one in a detail (five moons, twelve trains, eighty faces,
mailboxes with the flag up or down), or have no looks of their own. The model is small and two CPU cores train it, so
its time goes to the plain ones: of the others, those were left out first whose own drawings the judge mistakes. The
judge of its pictures (scorer.py) knows all 948: a picture must be told from those that are left out, too.
"""

from __future__ import annotations

from .emoji import Concept

#: Names of what is learned, by kind.
LEARNED = {
    "weather": """
        cloud, crescent moon, droplet, fire, full moon, high voltage, rainbow, ringed planet, snowflake,
        snowman, star, sun, sun with face, umbrella, water wave
    """,
    "place": """
        castle, church, circus tent, classical building, compass, desert island, ferris wheel, house, shinto
        shrine, volcano, world map
    """,
    "food": """
        bacon, baguette bread, bread, cheese wedge, croissant, egg, fish cake with swirl, french fries,
        hamburger, hot dog, pancakes, pizza, popcorn, poultry leg, pretzel, rice ball, sushi, taco, waffle
    """,
    "vegetable": """
        avocado, bell pepper, broccoli, carrot, chestnut, ear of corn, eggplant, hot pepper, onion, peanuts
    """,
    "plant": """
        blossom, bouquet, cactus, cherry blossom, deciduous tree, evergreen tree, four leaf clover, hibiscus,
        maple leaf, mushroom, palm tree, potted plant, rose, seedling, sunflower, tulip
    """,
    "fruit": """
        banana, blueberries, cherries, coconut, grapes, green apple, kiwi fruit, lemon, peach, pear, pineapple,
        red apple, strawberry, tangerine, tomato, watermelon
    """,
    "dessert": """
        birthday cake, candy, chocolate bar, cookie, cupcake, donut, honey pot, ice cream, lollipop, shortcake,
        soft ice cream
    """,
    "drink": """
        beer mug, bottle with popping cork, bubble tea, cocktail glass, glass of milk, hot beverage, teapot,
        tropical drink, wine glass
    """,
    "celebration": """
        balloon, christmas tree, fireworks, jack-o-lantern, party popper, wrapped gift
    """,
    "clothing": """
        backpack, crown, dress, gem stone, glasses, graduation cap, handbag, high-heeled shoe, jeans, lipstick,
        necktie, ring, sunglasses, t-shirt, top hat
    """,
    "music": """
        accordion, drum, guitar, headphone, maracas, microphone, musical keyboard, musical note, radio,
        saxophone, trumpet, violin
    """,
    "sport": """
        american football, baseball, basketball, bowling, boxing glove, ice skate, ping pong, soccer ball,
        sports medal, tennis, trophy, volleyball
    """,
    "art": """
        artist palette, framed picture, yarn
    """,
    "device": """
        battery, camera, candle, flashlight, floppy disk, laptop, light bulb, magnifying glass tilted left,
        mobile phone, red paper lantern, telephone, television
    """,
    "game": """
        bullseye, chess pawn, crystal ball, game die, kite, pool 8 ball, puzzle piece, teddy bear, video game
    """,
    "vehicle": """
        airplane, ambulance, anchor, automobile, bicycle, bus, fire engine, flying saucer, helicopter,
        horizontal traffic light, locomotive, motor scooter, motorcycle, police car, ring buoy, rocket,
        sailboat, stop sign, taxi, tractor, wheel
    """,
    "tool": """
        bomb, bow and arrow, crossed swords, dagger, dna, gear, hammer, magnet, microscope, pill, shield,
        syringe, telescope, wrench
    """,
    "animal": """
        baby chick, bat, bear, bird, blowfish, butterfly, camel, cat, cat face, chicken, coral, cow face, crab,
        crocodile, deer, dog, dog face, dolphin, duck, eagle, elephant, feather, fish, flamingo, fly, fox, frog,
        giraffe, gorilla, hamster, hatching chick, hedgehog, honeybee, horse, horse face, jellyfish, kangaroo,
        koala, ladybug, lion, lobster, monkey, monkey face, mouse face, octopus, otter, owl, panda, parrot, paw
        prints, peacock, penguin, pig, pig face, polar bear, rabbit face, rhinoceros, rooster, sauropod,
        scorpion, shark, shrimp, sloth, snail, snake, spider, spider web, spiral shell, squid, swan, tiger,
        tiger face, tropical fish, turkey, turtle, unicorn, whale, wolf, zebra
    """,
    "body part": """
        bone, brain, ear, eye, tooth
    """,
    "face": """
        alien, alien monster, clown face, cold face, cowboy hat face, enraged face, face with medical mask, face
        with tears of joy, face with tongue, ghost, grinning cat, grinning face, loudly crying face, nauseated
        face, nerd face, neutral face, partying face, pile of poo, robot, see-no-evil monkey, skull, sleeping
        face, smiling face with heart-eyes, smiling face with horns, smiling face with sunglasses, upside-down
        face
    """,
    "heart": """
        blue heart, broken heart, green heart, heart on fire, love letter, purple heart, red heart, yellow heart
    """,
    "money": """
        coin, credit card, money bag
    """,
    "office": """
        briefcase, key, locked, scissors
    """,
    "book": """
        books, closed book, open book, pencil, scroll
    """,
    "mail": """
        envelope, package, postbox
    """,
    "household": """
        alarm clock, bathtub, bed, broom, chair, door, hourglass done, plunger, shopping cart, toilet, window
    """,
    "object": """
        moai
    """,
}
_NAMES = frozenset(name for listed in LEARNED.values() for name in " ".join(listed.split()).split(", "))


def is_learned(concept: Concept) -> bool:
    """Whether the text-to-image model is trained on this concept."""
    return concept.name in _NAMES
