"""Wordings of the slots of a dialogue before the graded reply: what the student says, and what the tutor asked."""

POSE = (
    "{question}",
    "Here is my problem: {question}",
    "My homework question is this. {question}",
    "The question says: {question}",
    "I am working on this one. {question}",
    "Problem: {question}",
    "This is from my worksheet. {question}",
    "We were given this: {question}",
    "I tried the following exercise. {question}",
    "Today's question: {question}",
    "It is number four on my sheet. {question}",
    "My teacher set this one. {question}",
    "So the task is: {question}",
)

LEAD = (
    "Here is what I did:",
    "My working:",
    "This is how I solved it:",
    "I did it like this:",
    "My steps:",
    "What I wrote:",
    "I worked it out this way:",
    "My solution looks like this:",
    "This is what I have so far:",
    "I went about it as follows:",
    "On paper I have:",
    "My attempt:",
)

RESULT = (
    "I got {wrong}.",
    "My answer is {wrong}.",
    "It came out as {wrong}.",
    "I ended up with {wrong}.",
    "I think it is {wrong}.",
    "I say {wrong}.",
    "I found {wrong}.",
    "So {wrong} for me.",
    "My result: {wrong}.",
    "I make it {wrong}.",
    "I have {wrong} as the answer.",
    "The answer must be {wrong}.",
)

CHECK = (
    "Is this right?",
    "Did I do it correctly?",
    "Can you check it?",
    "Is that the answer?",
    "Does that look ok to you?",
    "Am I done?",
    "Please tell me if this is correct.",
    "I am not sure about it, what do you think?",
    "Would you mark this as right?",
    "Is anything wrong with it?",
    "I think that is it, isn't it?",
    "Could you have a look?",
    "right?",
)

CHAT = (
    "Hi! We started this topic today and it seemed pretty easy.",
    "Hello, I have a test tomorrow so I am practising a bit.",
    "Hey, my brother says I got this wrong but he never explains anything.",
    "Good evening, I finally sat down to do my homework.",
    "Hi there, I missed last week's lesson so I taught myself from the book.",
    "So I was doing these on the bus and this one took me ages.",
    "Hello again, I have only got one of these left.",
    "Hey, my friend and I have different answers for this.",
    "I usually like this kind of question, so I did it quickly.",
    "Hi, I did ten of these already and I want to make sure that I do them properly.",
    "Good morning! I hope it is fine to send you a photo's worth of typing.",
    "Ok this is probably a quick one for you.",
)

HELP = (
    "Can you help me with this?",
    "I want to go through this one with you.",
    "Could we look at this together?",
    "I need somebody to check this one.",
    "I have tried it but I do not know if it is any good.",
    "Can I show you something?",
    "I have done this one already.",
    "Do you have a minute for this?",
    "Let me know if I understood it.",
    "I would like some feedback on this.",
    "Can we do this next?",
    "I have an answer but I want to be sure.",
)

ASK_WORK = (
    "Of course. What have you tried so far?",
    "Sure, show me your steps.",
    "Gladly. How did you work it out?",
    "Yes, let me see what you wrote down.",
    "Happy to. Can you take me through your working?",
    "Certainly. Write out how you did it, please.",
    "Let us see. What was your first step, and what came after it?",
    "Good. Please type your whole working, line by line.",
    "All right, talk me through it.",
    "Could you show me how you got there?",
    "Let me look at your reasoning first. What did you do?",
    "Fine. Send me everything that you have on paper.",
)

COMPLY = (
    "Ok, so:",
    "Sure, this is it:",
    "I did this:",
    "Well, first of all:",
    "Alright, my lines are:",
    "Here you go:",
    "It goes like this:",
    "Yes, one moment.",
    "Ok this is everything:",
    "So what I have is this:",
    "These are my lines:",
    "Let me type it out.",
)

ASK_GOAL = (
    "Before we begin, what is this question about, in your own words?",
    "Let us read it first. What kind of problem is it?",
    "What topic does this belong to, do you think?",
    "Which idea from class do you need here?",
    "Tell me first: what is it that you have to work with?",
    "What do you recognise in this question?",
    "How would you describe this task to a classmate?",
    "What did you study that fits this question?",
    "Which chapter would you look in for this?",
    "First things first, what is being practised here?",
    "Can you name the subject of this exercise?",
    "What sort of exercise is this?",
)

GOAL = (
    "It is about {topic}.",
    "I think it is {topic}.",
    "{topic}, I guess.",
    "We are doing {topic}.",
    "That would be {topic}.",
    "It looks like {topic} to me.",
    "The chapter is {topic}.",
    "Probably {topic}.",
    "It has to do with {topic}.",
    "So, {topic}?",
    "Our teacher calls it {topic}.",
    "It must be {topic}.",
)
