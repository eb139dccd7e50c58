"""Wordings of the moves of a tutor: what helps, what sets the tone, what does not help.

Each entry is a template over the fields of a case (see `replies.fields`). Every wording is a sentence or two of its
own, so moves can be put one after the other in any order that a recipe asks for.
"""

# Where the work goes wrong, and what to do about it.

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

# Wordings of the moves that set the tone, and of those that say only in general that the work is not right.

WARM = (
    "Thanks for writing out every step.",
    "I appreciate the effort.",
    "Good that you wrote your thinking down, it makes this easy to discuss.",
    "You are clearly putting effort into this, and I like that.",
    "Nice and readable, thank you.",
    "Thank you for sharing.",
    "I can see that you thought about this, well done for that.",
    "Great that you tried it on your own first.",
    "I am glad you asked about this one.",
    "You set your work out well, so I can follow it.",
    "It is good to see you go at this step by step.",
    "Well done so far.",
    "I like how you kept your steps in order.",
    "You made a good start on this.",
    "That is an honest attempt, and I am glad you sent it.",
)

CREDIT = (
    "I agree with {wrong_place}.",
    "There is nothing wrong with {wrong_place}.",
    "What you have for {wrong_place} is correct.",
    "You did well with {wrong_place}.",
    "I like {wrong_place}, that part is fine.",
    "You have {wrong_place} right.",
    "Good work on {wrong_place}.",
    "One thing that is spot on: {wrong_place}.",
    "Well done for {wrong_place}.",
    "I checked {wrong_place}, and that is exactly right.",
    "You can be happy with {wrong_place}.",
    "No complaints from me about {wrong_place}, nicely done.",
    "You handled {wrong_place} correctly.",
)

CHEER = (
    "Take your time, I know you can do this.",
    "I am here to help.",
    "Keep going.",
    "This is a tricky spot for many people, so do not worry.",
    "I am sure you can work this out.",
    "You have what you need to do well here.",
    "Do not worry about slips, they are how we learn.",
    "I am happy to look at it again with you.",
    "Keep at it, your effort is paying off.",
    "I believe in you, there is no rush.",
    "It is fine to be unsure, we can work on it together.",
    "You will be glad you stayed with it.",
    "You can do this, one small step at a time.",
)

FLAG = (
    "There is a mistake somewhere in your work.",
    "The answer you reached is not right yet.",
    "I do not get {wrong}, so something is off.",
    "Sorry, {wrong} is not correct.",
    "Not quite: this does not come out correctly.",
    "Something in here does not work.",
    "Your result does not fit the problem.",
    "That is not the answer I was looking for.",
    "I checked {wrong} against the problem and it does not fit.",
    "One of your steps is wrong.",
    "This is not correct as it stands.",
    "An error has crept in along the way.",
    "The result {wrong} cannot be right.",
    "Somewhere along the line this went wrong.",
)

DOUBT = (
    "Are you sure about {wrong}?",
    "Hmm, does {wrong} look right to you?",
    "I wonder about that result.",
    "Is that really what you get?",
    "I am not certain about this one.",
    "Maybe something is not quite as it should be.",
    "Do you feel confident about {wrong}?",
    "Would you bet on that answer?",
    "That may or may not be what we want.",
    "Could there be something you missed?",
    "I have some doubts here.",
    "Does your answer convince you?",
    "Hmm, I would want to check {wrong} before I trust it.",
)

SCOLD = (
    "You really should know this by now.",
    "Honestly, this is careless work.",
    "How often do we have to go over this?",
    "Did you even pay attention in class?",
    "This is a silly thing to get wrong.",
    "I expected far better from you.",
    "You are just not trying.",
    "That was lazy, and it shows.",
    "Anyone in your year can do this, so stop guessing.",
    "I am getting tired of seeing this mistake from you.",
    "It is embarrassing to see this at your level.",
    "You obviously rushed this without thinking at all.",
    "What a sloppy piece of work.",
    "Do you ever listen when this is explained?",
)

REMARK = (
    "This problem is about {topic}.",
    "Questions on {topic} come back in many chapters.",
    "We are working on {topic} here.",
    "The subject of this exercise is {topic}.",
    "It is all part of {topic}.",
    "I see that you are practising {topic}.",
    "So this one deals with {topic}.",
    "With {topic}, each line matters.",
    "Every problem about {topic} has a few steps to it.",
    "This belongs to the unit on {topic}.",
    "We have a question on {topic} in front of us.",
    "Let me look at this exercise on {topic} with you.",
)

# Wordings of the moves that do not help: telling it all, agreeing with a wrong answer, blaming a right step.

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
