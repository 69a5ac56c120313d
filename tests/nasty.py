"""A text that every place of the studio could take for something else, in pieces short enough for any field."""

#: Icons and emoji by name, arrows, entities, addresses, Markdown, TeX, plotly's places for numbers, rich's markup.
NASTY = (
    "1. :material/delete: :smile: :streamlit: a -> b &lt; <b>x</b> **y** `c` $x^2$ http://a.example www.b.example "
    "m@c.example :red[r] %{y} [red]u[/red] ~~w~~ >= 3"
)
#: The same for fields of at most 80 letters.
SHORT = ":material/delete: &lt; a -> b <i>x</i> http://a.example [red]u[/red] :smile: %{y}"[:80]
#: What a terminal would obey: escape, the other control characters, backspace, C1's own escape, changes of direction,
#: zero width, and ends of lines.
CONTROLS = "a\x1b[31mb\x08c\x9b2Jd\u202ee\u200bf\u2028g\u2066h\rk"
WRITTEN = "a\\x1b[31mb\\x08c\\x9b2Jd\\u202ee\\u200bf\\u2028g\\u2066h\\rk".replace("\\r", "\\x0d")
