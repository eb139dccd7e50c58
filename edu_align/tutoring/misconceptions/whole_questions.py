"""Question templates for the four operations on whole numbers; see `edu_align.tutoring.draw.fill`."""

SUMS = (
    "Work out {a} + {b}.",
    "Use column addition to find {a} + {b}.",
    "{name} has {a} {things} and {other} has {b}. How many {things} do the two have together?",
    "On Saturday {a} people visited the {place}, and on Sunday {b} people did. How many visitors were there in all?",
    "{name} drove {a} km in the morning and {b} km in the afternoon. How many kilometres was that altogether?",
    "A theatre sold {a} tickets online and {b} tickets at the door. How many tickets were sold?",
)
SHARES = (
    "Work out {a} / {b} by long division.",
    "How many times does {b} go into {a}?",
    "{name} packs {a} {things} into {b} boxes, the same number in each. How many {things} are in one box?",
    "{b} classes share {a} sheets of paper equally. How many sheets does each class get?",
    "A {place} pays {a} dollars for {b} identical chairs. What is the price of one chair in dollars?",
)
FULL_GROUPS = (
    "{a} children go on a trip in vans that seat {b} children each. How many vans are needed?",
    "{name} has {a} {things} to pack. A box holds {b}. How many boxes does {name} need to pack them all?",
    "A castle has {a} visitors waiting for guided tours of at most {b} people. How many tours must be given?",
    "{a} bottles have to be carried in crates of {b}. What is the smallest number of crates that is enough?",
    "{name} wants to put {a} photos into an album with {b} photos on a page. How many pages are needed?",
)
DIFFERENCES = (
    "Work out {a} - {b}.",
    "Use column subtraction to find {a} - {b}.",
    "What is the difference between {a} and {b}?",
    "{name} has {a} {things} and gives {b} of them to {other}. How many {things} does {name} have left?",
    "A {place} ordered {a} {things}. So far {b} have arrived. How many {things} are still missing?",
    "{name} has collected {a} {things} and {other} has collected {b}. How many more does {name} have?",
    "A book has {a} pages. {name} has read {b} pages. How many pages are left to read?",
)
PRODUCTS = (
    "Work out {a} * {b}.",
    "Use long multiplication to find {a} * {b}.",
    "{name} buys {b} packs with {a} {things} in each. How many {things} is that?",
    "The hall of the {place} has {b} rows of {a} seats. How many seats are there?",
    "A machine makes {a} parts an hour. How many parts does it make in {b} hours?",
    "One chair for the {place} costs {a} dollars. How many dollars do {b} such chairs cost?",
)
