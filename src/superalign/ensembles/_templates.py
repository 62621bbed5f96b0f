"""The prompts under which a weak model is asked when none are given: the plain text, and other framings of it."""

TEMPLATES = (
    "{text}",
    "Statement: {text}",
    "Is this true? {text}",
    "{text} Is that right?",
    "Someone said: {text}",
)
