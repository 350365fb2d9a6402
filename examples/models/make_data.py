"""Writes the demo model's training text and held-out cases, all of it generated here from a seed.

Three kinds of text, each with a plain prompt format and a chat form of it:

    Story: the little fox and the lantern        Ticket: I was charged twice.     Record: Send 3 red kettles to Oslo.
    Once upon a time, ...                        Queue: billing                   JSON: {"item": "kettle", ...}

A document ends with <|endoftext|>. What is held out: whole sentence patterns (the HELD_* lists are
never used for training), place names (by hash), and pairs of hero and object in stories (by hash).

    python make_data.py OUT_DIR [--documents 320000] [--seed 1]
"""
import argparse
import hashlib
import json
import pathlib
import random
import re

from phrases import (
    ACTION_WRAPS, ADJECTIVES, ANIMALS, CITIES, CLOSINGS, COLOURS, CONTEXTS, GREETINGS, HELD_CLOSINGS, HELD_CONTEXTS, HELD_RECORDS,
    HELD_TICKETS, ITEM_KINDS, ITEMS, PLACES, PLOTS, PRODUCTS, RECORDS, STARTS, THINGS, TICKETS, TICKET_ACTIONS, TICKET_TOPICS,
    TOPIC_WRAPS, TOWN_ENDS, TOWN_MIDDLES, TOWN_STARTS, TREASURES,
)

END = "<|endoftext|>"
QUEUES = sorted(TICKETS)


def held(text, share=10):
    """True for one in `share` strings, the same ones on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") % share == 0


def fill(rng, text, slots=None):
    """Expands {a|b|c} to one choice (possibly empty, nesting allowed) and {name} from `slots`."""
    inner = re.compile(r"\{([^{}]*)\}")

    def one(match):
        body = match.group(1)
        if "|" in body:
            return rng.choice(body.split("|"))
        value = slots[body]
        return value() if callable(value) else str(value)

    while True:
        text, count = inner.subn(one, text, count=1)
        if not count:
            return re.sub(r" +", " ", text).strip()


def sentence(text):
    return text[:1].upper() + text[1:]


def plural(noun):
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    if noun.endswith("fe"):
        return noun[:-2] + "ves"
    if noun.endswith("f") and not noun.endswith(("ff", "oof")):
        return noun[:-1] + "ves"
    return noun + "s"


ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen " \
       "seventeen eighteen nineteen".split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()


def in_words(n):
    if n < 20:
        return ONES[n]
    return TENS[n // 10] + ("-" + ONES[n % 10] if n % 10 else "")


def an(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


# ---- support tickets ------------------------------------------------------------------------------------------------

def ticket(rng, test):
    """One ticket and its queue. For tests the decisive sentence comes from patterns never trained on."""
    queue = rng.choice(QUEUES)
    pattern = rng.choice((HELD_TICKETS if test else TICKETS)[queue])
    if not test and rng.random() < 0.45:
        if rng.random() < 0.55:
            pattern = rng.choice(ACTION_WRAPS).replace("{action}", rng.choice(TICKET_ACTIONS[queue].split("|")))
        else:
            pattern = rng.choice(TOPIC_WRAPS).replace("{topic}", rng.choice(TICKET_TOPICS[queue].split("|")))
    slots = {
        "product": lambda: rng.choice(PRODUCTS),
        "number": lambda: str(rng.randint(100, 99999)),
        "days": lambda: rng.choice(["two", "three", "four", "five", "six", "ten"]),
        "price": lambda: f"{rng.randint(3, 480)}" + rng.choice(["", "", ".50", ".99", ".20"]) + rng.choice([" euros", " pounds", " dollars"]),
        "when": lambda: rng.choice(["today", "yesterday", "last week", "this morning", "on Monday", "on Friday", "last month", "two days ago", "a week ago", "last night", "on Tuesday", "at the weekend"]),
        "town": lambda: town(rng, test),
        "month": lambda: rng.choice("January February March April May June July August September October November December".split()),
    }
    core = fill(rng, pattern, slots)
    if not test and rng.random() < 0.15:
        # A word lost here and there: no single word may decide alone.
        words = core.split(" ")
        if len(words) > 5:
            del words[rng.randrange(len(words))]
        core = " ".join(words)
    body = [sentence(core)]
    contexts = CONTEXTS + HELD_CONTEXTS if test else CONTEXTS
    for _ in range(rng.choice([0, 0, 1, 1, 1, 2])):
        # Context says nothing about the queue but may use any queue's words: it keeps single words from deciding.
        body.insert(rng.choice([0, 0, len(body)]), sentence(fill(rng, rng.choice(contexts), slots)))
    if rng.random() < 0.4:
        body.insert(0, rng.choice(GREETINGS))
    if rng.random() < 0.4:
        body.append(fill(rng, rng.choice(CLOSINGS + HELD_CLOSINGS if test else CLOSINGS), slots))
    text = " ".join(body)
    style = rng.random()
    if style < 0.12:
        text = text.lower()
    elif style < 0.20:
        text = text.lower().replace(",", "").replace(".", "").replace("!", "").replace("'", "")
    return text, queue


# ---- records --------------------------------------------------------------------------------------------------------

def town(rng, test):
    """A place name, mostly made up: no list to learn by heart, so the model has to copy. One in ten is never trained on."""
    while True:
        draw = rng.random()
        if draw < 0.25:
            name = rng.choice(CITIES)
        elif draw < 0.50:
            first, second = rng.choice(CITIES), rng.choice(CITIES)
            name = first[:rng.randint(2, len(first))] + second[-rng.randint(1, len(second) - 1):]
        elif draw < 0.62:
            name = invented(rng).capitalize() + rng.choice(["um", "ek", "oth", "uz", "ax", "ip", "ov", "usk"])
        else:
            name = rng.choice(TOWN_STARTS) + (rng.choice(TOWN_MIDDLES) if rng.random() < 0.5 else "") + rng.choice(TOWN_ENDS)
        if rng.random() < 0.12:
            name = rng.choice(["New ", "Port ", "Upper ", "Lower ", "North ", "East "]) + name
        if held(name) == test:
            return name


def invented(rng):
    """A pronounceable word of one to three syllables."""
    onset = "b d k l m n r s t v z br dr kl kr st th tr qu".split()
    vowel, coda = "a e o ou ai ee".split(), ["", "", "n", "r", "l", "s", "m", "nd"]
    return "".join(rng.choice(onset) + rng.choice(vowel) + rng.choice(coda) for _ in range(rng.choice([1, 2, 2, 3])))


def quantity(rng):
    n = rng.choice([rng.randint(1, 12), rng.randint(1, 60), rng.randint(2, 99), rng.randint(10, 900)])
    return n, (in_words(n) if n < 100 and rng.random() < 0.5 else str(n))


def item(rng):
    noun = invented(rng) + rng.choice("mnrlk") if rng.random() < 0.12 else rng.choice(ITEMS)
    return (rng.choice(ITEM_KINDS) + " " if rng.random() < 0.35 else "") + noun


def record(rng, test):
    """One record in prose and the flat object it stands for. Missing facts become null."""
    kind = rng.choice(sorted(RECORDS))
    pattern = rng.choice((HELD_RECORDS if test else RECORDS)[kind])
    n, n_text = quantity(rng)
    first, second = town(rng, test), town(rng, test)
    if kind == "order":
        noun, colour = item(rng), rng.choice(COLOURS)
        if rng.random() < 0.12:
            colour = None
        goods = n_text + " " + (colour + " " if colour else "") + (noun if n == 1 else plural(noun))
        if n == 1 and n_text == "one" and rng.random() < 0.5:
            goods = an((colour + " " if colour else "") + noun)
        slots = {"goods": goods, "city": first}
        value = {"item": noun, "quantity": n, "colour": colour, "city": first}
    elif kind == "booking":
        room = rng.choice("oak elm maple river harbour garden north south blue green attic corner tower window lake".split())
        day = rng.choice("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
        hour, minute = rng.randint(7, 20), rng.choice([0, 0, 15, 30, 45])
        clock = f"{hour:02d}:{minute:02d}"
        spoken = clock
        if minute == 0 and rng.random() < 0.5:
            spoken = f"{hour} o'clock" if hour <= 12 else f"{hour - 12} in the {'afternoon' if hour < 18 else 'evening'}"
        n = rng.choice([rng.randint(2, 20), rng.randint(2, 60)])
        slots = {"room": room, "day": day, "time": spoken, "people": in_words(n) if rng.random() < 0.5 else str(n)}
        value = {"room": room, "day": day, "time": clock, "people": n}
    elif kind == "parcel":
        fragile = rng.random() < 0.5
        n = rng.choice([rng.randint(1, 20), rng.randint(1, 99)])
        note = fill(rng, rng.choice(["It is {fragile|breakable}.", "Handle with care.", "It {can break|breaks easily}.", "Careful, {glass|china} inside."])) if fragile \
            else fill(rng, rng.choice(["", "It is {sturdy|not fragile|not breakable}.", "Nothing in it can break.", "No special care is needed."]))
        slots = {"weight": in_words(n) if rng.random() < 0.4 else str(n), "from": first, "to": second, "note": note}
        value = {"from": first, "to": second, "weight_kg": n, "fragile": fragile}
    else:
        sky = rng.choice("clear cloudy rainy snowy foggy stormy sunny windy".split())
        n = rng.randint(-20, 38)
        number = str(abs(n)) if rng.random() < 0.7 else in_words(abs(n))
        degrees = ("minus " + number if n < 0 else number) + " degrees"
        if n < 0 and rng.random() < 0.4:
            degrees = number + " degrees below zero"
        slots = {"city": first, "sky": sky, "degrees": degrees}
        value = {"city": first, "sky": sky, "temperature": n}
    return sentence(fill(rng, pattern, slots)), json.dumps(value, ensure_ascii=False)


# ---- stories --------------------------------------------------------------------------------------------------------

PRONOUNS = [("she", "her", "her"), ("he", "him", "his"), ("it", "it", "its")]


def story(rng, test):
    """A title and a story of one or two episodes about the same hero."""
    while True:
        kind, adjective = rng.choice(ANIMALS + THINGS), rng.choice(ADJECTIVES)
        treasure = rng.choice(TREASURES)
        if held(kind + treasure) == test:
            break
    hero = f"{adjective} {kind}"
    he, him, his = rng.choice(PRONOUNS)
    episodes = 2 if rng.random() < 0.3 else 1
    plots = rng.sample(PLOTS, episodes)
    paragraphs = []
    for number, plot in enumerate(plots):
        friend = rng.choice([a for a in ANIMALS if a != kind])
        other = rng.choice([a for a in ANIMALS if a not in (kind, friend)])
        colour = rng.choice(COLOURS[:10])
        slots = {
            "hero": "the " + hero, "kind": "the " + kind, "a_hero": an(hero), "he": he, "him": him, "his": his,
            "friend": friend, "a_friend": an(rng.choice(ADJECTIVES) + " " + friend), "other": other, "an_other": an(other),
            "thing": treasure, "a_thing": an(treasure), "place": rng.choice(PLACES), "place2": rng.choice(PLACES),
            "colour": colour, "a_colour": an(colour), "count": rng.choice(["two", "three", "four", "five", "seven"]),
        }
        lines = [rng.choice(STARTS if number == 0 else ["{The next day|The next morning|A week later|Some days later|In the spring|When winter came}, {hero} was {at home|in {place}|awake early|in a good mood}."])]
        lines += [rng.choice(step) for step in plot]
        paragraphs.append(" ".join(_sentences(fill(rng, line, slots)) for line in lines))
    return f"the {hero} and the {treasure}", "\n".join(paragraphs)


def _sentences(text):
    """Capital letters at the start of each sentence and of each quoted one, but not after `?" ` as in `?" he asked`."""
    return re.sub(r'(^|[.!?] |\." |[.!?]" "|: "|said, "|asked, ")("?)([a-z])', lambda m: m.group(1) + m.group(2) + m.group(3).upper(), text)


# ---- documents ------------------------------------------------------------------------------------------------------

ASK = {
    "story": ["Tell me a story about {topic}.", "Write a short story about {topic}.", "Can you tell a story about {topic}?", "A story about {topic}, please."],
    "ticket": ["Which queue does this ticket belong to? {text}", "Sort this ticket: {text}", "Route this ticket: {text}", "Which queue? {text}"],
    "record": ["Turn this record into JSON: {text}", "As JSON: {text}", "Extract the fields as JSON. {text}", "Make JSON from this: {text}"],
}
HELLO = ["Hello!", "Hi", "Hello", "Hi there", "Good morning!", "What can you do?", "Who are you?", "Help", "What are you?", "Hey"]
ABOUT = "I am a tiny demo model. I can tell a short story, find the queue of a support ticket, or turn a record into JSON."


def task(rng, test, kinds=("story", "ticket", "record")):
    kind = rng.choice(kinds)
    first, second = {"story": story, "ticket": ticket, "record": record}[kind](rng, test)
    return kind, first, second


def plain(kind, first, second):
    """The document in its plain form, as (prompt, answer)."""
    if kind == "story":
        return f"Story: {first}\n", second + "\n"
    if kind == "ticket":
        return f"Ticket: {first}\nQueue:", f" {second}\n"
    return f"Record: {first}\nJSON:", f" {second}\n"


def chat(rng):
    """A conversation of one to three turns in the form that the chat template renders."""
    parts = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if rng.random() < 0.06:
            ask, answer = rng.choice(HELLO), ABOUT
        else:
            kind, first, answer = task(rng, False)
            ask = rng.choice(ASK[kind]).format(topic=first, text=first)
        parts.append((f"<|user|>\n{ask}<|end|>\n<|assistant|>\n", f"{answer}<|end|>\n"))
    return parts


def document(rng):
    """A training document: a list of (prompt, answer) pairs; train.py gives answers more weight."""
    draw = rng.random()
    if draw < 0.14:
        return chat(rng)
    kind = "story" if draw < 0.33 else "ticket" if draw < 0.64 else "record"
    _, first, second = task(rng, False, (kind,))
    if kind == "story" and rng.random() < 0.3:
        return [("", second + "\n")]  # without a title, so that any opening sentence can be continued
    return [plain(kind, first, second)]


def heldout(rng, kind, count):
    cases = {}
    while len(cases) < count:
        _, first, second = task(rng, True, (kind,))
        prompt, answer = plain(kind, first, second)
        cases[prompt] = {"task": kind, "prompt": prompt, "expected": answer.strip()}
    return list(cases.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--documents", type=int, default=320000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    rng = random.Random(args.seed)
    with open(args.out / "train.jsonl", "w") as out:
        for _ in range(args.documents):
            out.write(json.dumps(document(rng), ensure_ascii=False) + "\n")

    rng = random.Random(args.seed + 1000)
    # The small file is committed and used by tests; the large ones give the data sheet's figures.
    small = heldout(rng, "ticket", 150) + heldout(rng, "record", 150)
    large = {kind: heldout(rng, kind, count) for kind, count in (("ticket", 2000), ("record", 2000), ("story", 300))}
    for name, cases in [("heldout.jsonl", small)] + [(f"heldout-{kind}.jsonl", cases) for kind, cases in large.items()]:
        with open(args.out / name, "w") as out:
            out.writelines(json.dumps(case, ensure_ascii=False) + "\n" for case in cases)


if __name__ == "__main__":
    main()
