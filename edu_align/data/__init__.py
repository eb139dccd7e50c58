"""Sources of dialogues and preferences -> `Conversation` and `ResponseGroup` records, grouped splits and pairs."""
