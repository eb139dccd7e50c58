"""Wordings of the moves that tell a student where the work goes wrong and what to do about it.

Each entry is a template over the fields of a case (see `replies.fields`). Every wording is a sentence or two of its
own, so moves can be put one after the other in any order that a recipe asks for.
"""

LOCATE = (
    "The part that needs another look is {place}.",
    "Things go off track at {place}.",
    "I would stop at {place}: that is where the mistake is.",
    "Up to there I can follow you, but there is a slip in {place}.",
    "One thing is not right yet, and it is {place}.",
    "The mistake sits in {place}.",
    "What does not hold is {place}.",
    "There is an error at {place}, and it changes the result.",
    "I found one problem in your steps: {place}.",
    "The trouble starts with {place}.",
    "Something went wrong in {place}.",
    "My eye stops at {place}, because that is not correct.",
    "Not everything works here. The weak spot is {place}.",
    "The result is off because of {place}.",
    "Where it breaks down is {place}.",
)

CAUSE = (
    "It looks as if {cause}.",
    "From your steps it seems that {cause}.",
    "As far as I can tell, {cause}.",
    "What I see there is that {cause}.",
    "My reading of it is that {cause}.",
    "I think {cause}.",
    "Judging by what you wrote, {cause}.",
    "The way I understand your line, {cause}.",
    "In that step {cause}.",
    "If I read it correctly, {cause}.",
    "Many people do the same thing: {cause}.",
    "What happened is that {cause}.",
    "At that point {cause}.",
)

ASK = (
    "{probe}",
    "Let me ask you something. {probe}",
    "Think about this: {probe}",
    "Here is a question to work with. {probe}",
    "Before you change anything: {probe}",
    "Tell me in your own words: {probe}",
    "I am curious what you think. {probe}",
    "Try to answer this first. {probe}",
    "Put the calculation aside for a moment. {probe}",
    "A question that may help: {probe}",
    "Let us slow down there. {probe}",
    "See what you make of this one. {probe}",
    "What would you say to this? {probe}",
    "Picture it for a moment. {probe}",
    "Start from here: {probe}",
)

HINT = (
    "{hint}",
    "Here is a hint. {hint}",
    "Keep this in mind: {hint}",
    "Something to lean on: {hint}",
    "It may help to remember this. {hint}",
    "The idea behind it is this. {hint}",
    "A useful thing to know: {hint}",
    "Let me give you a clue. {hint}",
    "One idea to use here: {hint}",
    "Go back to the meaning of it. {hint}",
    "Compare your step with this. {hint}",
    "You can use the following. {hint}",
    "This is worth holding on to. {hint}",
    "I will only say this much: {hint}",
)

ACT = (
    "Now {action}.",
    "As a next step, {action}.",
    "Please {action}.",
    "Your turn: {action}.",
    "Try this: {action}.",
    "From there, {action}.",
    "To test it, {action}.",
    "Go back to that line and {action}.",
    "Take a fresh piece of paper and {action}.",
    "What I would like you to do is this: {action}.",
    "Before anything else, {action}.",
    "Pick up your pencil and {action}.",
    "Then {action}, and show me what you get.",
    "For now, just {action}.",
    "Have a go: {action}.",
)

RETRY = (
    "Give it another try.",
    "Go over your work once more and see what you notice.",
    "Read it through again and send me your new version.",
    "Have another go at it and tell me how it turns out.",
    "Take one more look at the whole thing.",
    "See whether you can sort it out on a second attempt.",
    "Work through the problem again from the start.",
    "Check everything again, please.",
    "Start over and compare the two attempts.",
    "Look it over again before you hand it in.",
    "I would like you to do this one a second time.",
    "Try the problem again and let me know what you get.",
    "Run through all of your steps again.",
    "Do it once more, a little more slowly.",
)
