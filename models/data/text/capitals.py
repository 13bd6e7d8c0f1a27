"""Capitals by heart: the same facts in many forms of question, some of which are never trained on."""

from __future__ import annotations

import math
import random

from models.data.text.records import Record

CAPITALS = {
    "Argentina": "Buenos Aires",
    "Australia": "Canberra",
    "Austria": "Vienna",
    "Belgium": "Brussels",
    "Brazil": "Brasilia",
    "Bulgaria": "Sofia",
    "Canada": "Ottawa",
    "Chile": "Santiago",
    "China": "Beijing",
    "Colombia": "Bogota",
    "Croatia": "Zagreb",
    "Cuba": "Havana",
    "Denmark": "Copenhagen",
    "Egypt": "Cairo",
    "England": "London",
    "Ethiopia": "Addis Ababa",
    "Finland": "Helsinki",
    "France": "Paris",
    "Germany": "Berlin",
    "Ghana": "Accra",
    "Greece": "Athens",
    "Hungary": "Budapest",
    "Iceland": "Reykjavik",
    "India": "New Delhi",
    "Iran": "Tehran",
    "Iraq": "Baghdad",
    "Ireland": "Dublin",
    "Italy": "Rome",
    "Japan": "Tokyo",
    "Kenya": "Nairobi",
    "Lebanon": "Beirut",
    "Mexico": "Mexico City",
    "Morocco": "Rabat",
    "Nepal": "Kathmandu",
    "Nigeria": "Abuja",
    "Norway": "Oslo",
    "Pakistan": "Islamabad",
    "Peru": "Lima",
    "Poland": "Warsaw",
    "Portugal": "Lisbon",
    "Romania": "Bucharest",
    "Russia": "Moscow",
    "Serbia": "Belgrade",
    "Spain": "Madrid",
    "Sweden": "Stockholm",
    "Thailand": "Bangkok",
    "Turkey": "Ankara",
    "Ukraine": "Kyiv",
    "Uruguay": "Montevideo",
    "Vietnam": "Hanoi",
}
_FORMS = (
    "capital of {}",
    "Capital of {}?",
    "What is the capital of {}?",
    "Which city is the capital of {}?",
    "Name the capital of {}.",
    "{} has which capital?",
)


def draw(rng: random.Random, number: int) -> Record:
    """One question, country and form drawn uniformly; other forms about the same country say the same."""
    country, form = rng.choice(tuple(CAPITALS)), rng.choice(_FORMS)
    nats = math.log(len(CAPITALS) * len(_FORMS))
    return Record("capitals", f"capitals-{number}", form.format(country), CAPITALS[country], nats=nats)
