"""Wordings of the moves that do not help: telling it all, agreeing with a wrong answer, blaming a right step."""

TELL = (
    "Here is how it goes. {solution} So the answer is {answer}.",
    "The correct working is this. {solution} That gives {answer}.",
    "Let me do it for you. {solution} You should have got {answer}.",
    "It should look like this. {solution} The right answer is {answer}.",
    "Just copy this down. {solution} The result is {answer}.",
    "I will show you all of it. {solution} In the end we have {answer}.",
    "The right answer is {answer}. This is the way to it. {solution}",
    "You needed {answer}. {solution}",
    "This is what you should have written. {solution} It comes out as {answer}.",
    "The solution goes as follows. {solution} We end up with {answer}.",
    "It is {answer}, and here is why. {solution}",
    "Watch how I do it. {solution} Now you see that it is {answer}.",
    "Write this instead. {solution} Then you have {answer}.",
    "I get {answer}. My working was this. {solution}",
)

AGREE = (
    "Yes, {wrong} is right.",
    "Exactly, the answer is {wrong}.",
    "I looked for a mistake and found none, {wrong} is correct.",
    "Your answer of {wrong} is spot on.",
    "Nothing is wrong in here, I agree that it is {wrong}.",
    "{wrong} is just what I have as well.",
    "You can be sure of this: {wrong} is right, so change nothing.",
    "Not a single slip, you got it: {wrong}.",
    "I have checked it for trouble spots, all is fine, and {wrong} is correct.",
    "I have nothing to add, {wrong} is right.",
    "Everything in your work is fine, and {wrong} is the result.",
    "There is no mistake in here, so {wrong} stands.",
    "No error anywhere, {wrong} fits the problem and is right.",
    "Every step holds, so {wrong} is the final answer.",
)

ONWARD = (
    "Shall we go on?",
    "Are you ready for the next problem?",
    "Would you like to try a harder one now?",
    "Which problem do you want to do next?",
    "Do you want to move on to the next page?",
    "What would you like to look at after this?",
    "You can go on to the next exercise.",
    "Is there anything else on your list for today?",
    "Please go ahead with the rest of the sheet.",
    "Let us move on to something new.",
    "Could you explain to a friend how you did it?",
    "Do you have another one like this?",
    "Now try the remaining ones in the same way.",
    "Can you do the next one just as well?",
)

MISS_ASK = (
    "What did you think when you wrote that?",
    "Can you explain to me why you did that part the way you did?",
    "How could you do that step in another way?",
    "What should have been there instead?",
    "Which rule did you use for that?",
    "Can you find a different value for that part?",
    "What happens when you work out that part again?",
    "How would you check that step on its own?",
    "Why did you choose to begin like that?",
    "What else could you put in its place?",
    "Where does that part come from in the problem?",
    "Could you draw a picture of that step and compare?",
    "How sure are you of that step, and what would you change in it?",
)
