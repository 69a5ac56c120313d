"""Emoji as training data: what there is to draw (concepts), how each designer drew it (styles), and where it is.

A *concept* is one emoji, say U+1F431 "cat face"; a *style* is one designer's set of pictures. Four sets train the
embedded text-to-image model; six others, which it never sees, are kept for a judge of its pictures:

    train   noto, flat (Fluent), 3d (Fluent), twemoji          judge   SCORER_SETS below

All come as npm packages, read straight from the .tgz files that `npm pack` leaves in a folder: icons as SVG (Iconify's
JSON) or WebP, labels, tags and groups from emojibase-data (CLDR's names). Only sets with permissive or attribution
licences are used; share-alike ones (emojione-v1, openmoji) are left out on purpose.

A picture is painted on white with a margin and stored as a *master* of one and a half times the model's size (192 x
192), so that shifts and scalings by fractions of a pixel stay crisp after the reduction to 128 x 128.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EmojiSet:
    """One designer's pictures: the style word of captions, its npm package, and what its licence asks to be said."""

    style: str
    package: str
    version: str
    title: str
    licence: str
    credit: str

    @property
    def pattern(self) -> str:
        """The glob pattern of the file that `npm pack` writes (any version)."""
        return self.package.removeprefix("@").replace("/", "-") + "-[0-9]*.tgz"


GENERATOR_SETS = (
    EmojiSet("noto", "@iconify-json/noto", "1.2.9", "Noto Emoji", "Apache-2.0", "Google, googlefonts/noto-emoji"),
    EmojiSet(
        "flat",
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "Fluent Emoji (flat)",
        "MIT",
        "Microsoft Corporation, microsoft/fluentui-emoji",
    ),
    EmojiSet(
        "3d",
        "@lobehub/fluent-emoji-3d",
        "1.1.0",
        "Fluent Emoji (3D)",
        "MIT",
        "Microsoft Corporation, microsoft/fluentui-emoji; packed by LobeHub",
    ),
    EmojiSet(
        "twemoji",
        "@iconify-json/twemoji",
        "1.2.5",
        "Twemoji",
        "CC-BY-4.0",
        "Twitter and contributors, jdecked/twemoji",
    ),
)
SCORER_SETS = (
    EmojiSet("noto-v1", "@iconify-json/noto-v1", "1.2.5", "Noto Emoji v1", "Apache-2.0", "Google"),
    EmojiSet("emojione", "@iconify-json/emojione", "1.2.3", "EmojiOne 2.3", "CC-BY-4.0", "EmojiOne, EmojiTwo"),
    EmojiSet("fxemoji", "@iconify-json/fxemoji", "1.2.2", "Firefox OS Emoji", "Apache-2.0", "Mozilla"),
    EmojiSet(
        "high-contrast",
        "@iconify-json/fluent-emoji-high-contrast",
        "1.2.6",
        "Fluent Emoji (high contrast)",
        "MIT",
        "Microsoft Corporation",
    ),
    EmojiSet("color", "@iconify-json/fluent-emoji", "1.2.7", "Fluent Emoji (color)", "MIT", "Microsoft Corporation"),
    EmojiSet("streamline", "@iconify-json/streamline-emojis", "1.2.4", "Streamline Emojis", "CC-BY-4.0", "Streamline"),
)
LABELS = EmojiSet("labels", "emojibase-data", "17.0.0", "emojibase-data", "MIT", "Miles Johnson; names from CLDR")
STYLES = tuple(source.style for source in GENERATOR_SETS)
